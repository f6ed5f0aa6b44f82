import { LifeguardError } from '@pg-lifeguard/core'
import type { FailedRequest, RequestHandler } from './client-internals.js'
import { poolsOwnError } from './driver-error.js'

/**
 * Makes a client give the pool's own errors to its callers as they are, with the operation that was asked for and the stack
 * of whoever asked.
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
      const own = poolsOwnError(error)
      if (own !== error && LifeguardError.isInstance(own)) sayWhatFailed(own, request)
      throw own
    }
  }
}

/** One error may be that of several requests: it is the first that it tells of. */
function sayWhatFailed(error: LifeguardError, { clientMethod, callsite }: FailedRequest): void {
  if (error.operation !== undefined || !Object.isExtensible(error)) return
  if (typeof clientMethod === 'string') {
    Object.defineProperty(error, 'operation', { value: `prisma.${clientMethod}()`, enumerable: true })
  }
  // Prisma notes where it was called, unless its errors are to be minimal; of raw queries only once they are waited for,
  // where no stack leads back.
  const frames = callsite?._error?.stack?.split('\n').filter((line) => /^\s+at /.test(line) && !isOfNobody(line)) ?? []
  if (frames.length > 0) error.stack = [`${error.name}: ${error.message}`, ...frames].join('\n')
}

function isOfNobody(frame: string): boolean {
  return ['@prisma', '<anonymous>)', '(node:'].some((part) => frame.includes(part))
}
