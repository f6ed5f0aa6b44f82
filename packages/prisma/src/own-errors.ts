import type { RequestHandler } from './client-internals.js'
import { poolsOwnError } from './driver-error.js'

/**
 * Makes a client give the pool's own errors to its callers as they are.
 *
 * Not by a query hook of the extension: Prisma copies the arguments of every call for those, and makes one more promise,
 * which costs as much as the rest of the adapter; and here only what fails is looked at.
 */
export function passOwnErrors(handler: RequestHandler): void {
  const handle = handler.handleAndLogRequestError.bind(handler)
  handler.handleAndLogRequestError = (request) => {
    try {
      handle(request)
    } catch (error) {
      throw poolsOwnError(error)
    }
  }
}
