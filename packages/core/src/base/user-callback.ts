import { isInstance } from './is-instance.js'

/**
 * Calls what a user gave. Whatever it throws, or rejects with later where it is async, goes to `failed`, and concerns
 * nobody else: neither the process nor the work that it was called about.
 */
export function callUser(fn: () => unknown, failed: (error: unknown) => void): void {
  try {
    const given = fn()
    // In a microtask: also a `then` that throws is a rejection.
    if (isThenable(given)) Promise.resolve(given).then(undefined, failed)
  } catch (error) {
    failed(error)
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value
}

/** A warning of the process about an error of a user's callback, whatever was thrown. */
export function warnOf(error: unknown, type: string): void {
  const text = textOf(error)
  // Node looks at it in a turn of its own, where whatever it throws would end the process.
  if (text !== undefined && isInstance(error, Error)) process.emitWarning(error, { type })
  else process.emitWarning(text ?? kindOf(error), { type })
}

/** What is left to say of an object that has no text. */
function kindOf(value: unknown): string {
  try {
    return Object.prototype.toString.call(value)
  } catch {
    return 'something that cannot be read'
  }
}

/** Undefined where there is none: an object without a prototype, one whose getters throw, a Proxy that is revoked. */
function textOf(value: unknown): string | undefined {
  try {
    if (!(value instanceof Error)) return String(value)
    const { name, message, stack } = value
    return `${name}: ${message} ${stack} ${value}`
  } catch {
    return undefined
  }
}
