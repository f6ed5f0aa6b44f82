import { InvalidOptionError } from '@pg-lifeguard/core'
import { poolsOwnError } from './driver-error.js'

/** The private side of a client that makes its errors; it is the same in all of Prisma 7, and checked before use. */
interface ClientInternals {
  readonly _requestHandler?: Partial<RequestHandler>
}

interface RequestHandler {
  /** Logs the error of a request and throws what the caller gets. */
  handleAndLogRequestError(request: object): void
}

const passing = new WeakSet<object>()

/**
 * Makes a client give the pool's own errors to its callers as they are.
 *
 * Not by a query hook of the extension: Prisma copies the arguments of every call for those, and makes one more promise,
 * which costs as much as the rest of the adapter; and here only what fails is looked at.
 *
 * @throws InvalidOptionError when the client makes its errors in another way
 */
export function passOwnErrors(client: object): void {
  const handler = (client as ClientInternals)._requestHandler
  if (!makesErrors(handler)) {
    throw new InvalidOptionError('client', 'of a Prisma that makes its errors in another way', 'a client of Prisma 7')
  }
  if (passing.has(handler)) return
  passing.add(handler)
  const handle = handler.handleAndLogRequestError.bind(handler)
  handler.handleAndLogRequestError = (request) => {
    try {
      handle(request)
    } catch (error) {
      throw poolsOwnError(error)
    }
  }
}

function makesErrors(handler: Partial<RequestHandler> | undefined): handler is RequestHandler {
  return typeof handler?.handleAndLogRequestError === 'function'
}
