import type { EventEmitter } from 'node:events'

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

/**
 * What `emit` does, for listeners of a user: one that throws or rejects hinders neither the others nor whoever has news, and
 * is a warning of the process. False when nobody listens.
 */
export function emitToUsers(emitter: EventEmitter, name: string, ...news: readonly unknown[]): boolean {
  // With the wrappers of `once`, which take themselves off.
  const listeners = emitter.rawListeners(name)
  for (const listener of listeners) callUser(() => Reflect.apply(listener, emitter, news), warnOfListener)
  return listeners.length > 0
}

/** A warning about somebody who listens to news. */
export function warnOfListener(error: unknown): void {
  warnOf(error, 'LifeguardListenerWarning')
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value
}

/**
 * A warning of the process about an error of a user's callback, whatever was thrown. Its `name` is the kind of warning,
 * as `emitWarning` drops the kind for an object that is an error already, and its `cause` what was thrown.
 * https://nodejs.org/api/process.html#processemitwarningwarning-options
 */
export function warnOf(error: unknown, type: string): void {
  const { message, stack } = saidBy(error)
  const warning = new Error(message, { cause: error })
  warning.name = type
  // `--trace-warnings` shows the stack: that of the callback leads to what is to be mended.
  if (stack !== undefined) warning.stack = `${type}: ${stack}`
  process.emitWarning(warning)
}

/** What a thrown value says, also one that throws when it is asked. */
function saidBy(error: unknown): { readonly message: string; readonly stack?: string | undefined } {
  try {
    if (!(error instanceof Error)) return { message: String(error) }
    const { message, stack } = error
    return { message: String(message), stack: typeof stack === 'string' ? stack : undefined }
  } catch {
    return { message: kindOf(error) }
  }
}

/** What is left to say of an object that has no text. */
function kindOf(value: unknown): string {
  try {
    return Object.prototype.toString.call(value)
  } catch {
    return 'something that cannot be read'
  }
}
