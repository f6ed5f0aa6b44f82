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

/**
 * Sees to it that a callback which is async, and of which nobody waits for the end, is a warning when it rejects: it would
 * end the process otherwise. What it throws at once is the affair of whoever calls it.
 *
 * @param given what the callback returned
 */
export function warnIfRejected(given: unknown, type: string): void {
  if (isThenable(given)) Promise.resolve(given).then(undefined, (error: unknown) => warnOf(error, type))
}

/** A warning of the process about an error of a user's callback, whatever was thrown. */
export function warnOf(error: unknown, type: string): void {
  if (error instanceof Error) process.emitWarning(error, { type })
  else process.emitWarning(textOf(error), { type })
}

function textOf(value: unknown): string {
  try {
    return String(value)
  } catch {
    // An object without a prototype has no text.
    return Object.prototype.toString.call(value)
  }
}
