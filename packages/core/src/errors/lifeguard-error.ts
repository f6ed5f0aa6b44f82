/**
 * `instanceof` for what a callback has thrown, which may be anything: of a Proxy that is revoked, the question itself
 * throws.
 */
export function isInstance<T>(value: unknown, of: abstract new (...args: never[]) => T): value is T {
  try {
    return value instanceof of
  } catch {
    return false
  }
}

const marker = Symbol.for('pg-lifeguard.error')

/** The stable `code` of each error class of Lifeguard; see docs/errors.md for what to do about each. */
export type LifeguardErrorCode =
  | 'LIFEGUARD_INVALID_OPTION'
  | 'LIFEGUARD_ACQUIRE_TIMEOUT'
  | 'LIFEGUARD_QUEUE_FULL'
  | 'LIFEGUARD_OVERLOADED'
  | 'LIFEGUARD_SELF_DEADLOCK'
  | 'LIFEGUARD_SERVER_UNAVAILABLE'
  | 'LIFEGUARD_LOGIN_FAILED'
  | 'LIFEGUARD_BREAKER_OPEN'
  | 'LIFEGUARD_POOL_CLOSED'
  | 'LIFEGUARD_CONNECTION_RELEASED'
  | 'LIFEGUARD_CONNECTION_LOST'
  | 'LIFEGUARD_TIMEOUT'
  | 'LIFEGUARD_ABORTED'
  | 'LIFEGUARD_TRANSACTION_CLOSED'
  | 'LIFEGUARD_TRANSACTION_ROLLED_BACK'
  | 'LIFEGUARD_COMMIT_UNKNOWN'
  | 'LIFEGUARD_LOCK_TIMEOUT'
  | 'LIFEGUARD_LOCK_LOST'
  | 'LIFEGUARD_LOCK_UNSUPPORTED'
  | 'LIFEGUARD_DEADLOCK'
  | 'LIFEGUARD_VERSION_CONFLICT'
  | 'LIFEGUARD_NO_PRIMARY'
  | 'LIFEGUARD_NOT_ON_REPLICA'
  | 'LIFEGUARD_BATCH_FAILED'
  | 'LIFEGUARD_PROTOCOL_VIOLATION'
  | 'LIFEGUARD_UNREADABLE_RESULT'
  | 'LIFEGUARD_UNSUPPORTED_RUNTIME'

/**
 * What every error of Lifeguard's own has in common. What the server says is never wrapped in one: it stays `pg`'s
 * DatabaseError with its SQLSTATE in `code`. Ours are for what the pool itself decides.
 *
 * @example
 * ```ts
 * import { createPool, LifeguardError } from '@pg-lifeguard/core'
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * try {
 *   await pool.query('select 1')
 * } catch (error) {
 *   if (LifeguardError.isInstance(error)) console.error(error.code, error.retryable, error.message)
 *   throw error
 * }
 * ```
 */
export abstract class LifeguardError extends Error {
  /** Stable across versions; branch on this, not on the message. */
  abstract readonly code: LifeguardErrorCode
  /** Whether the same call may be made again and can be expected to succeed later, without doing anything twice. */
  abstract readonly retryable: boolean
  /** The name of the pool that it comes from; absent where that is none, or not known. */
  declare readonly pool?: string
  /** The server that it is about, `127.0.0.1:5432`; absent where it is about none, or that is not known. */
  declare readonly server?: string
  /** What was asked of an ORM, `prisma.item.findMany()`; absent where that is not known. */
  declare readonly operation?: string

  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    // A property of each class: minifiers rename classes.
    Object.defineProperty(this, 'name', { value: new.target.name, configurable: true, writable: true })
    Object.defineProperty(this, marker, { value: true })
  }

  /** Like `instanceof`, but also true across two copies of this package in one process. */
  static isInstance(value: unknown): value is LifeguardError {
    return isInstance(value, Error) && (value as unknown as Record<symbol, unknown>)[marker] === true
  }
}

/** Thrown at once when an option is not what it may be: names the option, the value and what is allowed. */
export class InvalidArgumentError extends LifeguardError {
  static override readonly name: string = 'InvalidArgumentError'
  readonly code = 'LIFEGUARD_INVALID_OPTION'
  readonly retryable = false
  /** The name of the option as the caller wrote it. */
  readonly option: string

  constructor(option: string, given: string, allowed: string, options?: ErrorOptions) {
    super(`${option} is ${given}; allowed: ${allowed}`, options)
    this.option = option
  }
}

/** Thrown by `createPool` on a runtime that is too old, or whose own functions were taken away. */
export class UnsupportedRuntimeError extends LifeguardError {
  static override readonly name: string = 'UnsupportedRuntimeError'
  readonly code = 'LIFEGUARD_UNSUPPORTED_RUNTIME'
  readonly retryable = false

  constructor(missing: string) {
    super(`@pg-lifeguard/core needs Node.js 22 or newer, Bun or Deno; this is ${runtime()}, without ${missing}`)
  }
}

/**
 * Whether this runtime has what the core is built on. Runs itself on what came before.
 *
 * @throws UnsupportedRuntimeError when it has not
 */
export function assertRuntime(): void {
  const { withResolvers } = Promise as { readonly withResolvers?: unknown }
  if (typeof withResolvers !== 'function') throw new UnsupportedRuntimeError('Promise.withResolvers')
}

function runtime(): string {
  const { bun, deno, node } = process.versions
  if (bun !== undefined) return `Bun ${bun}`
  return deno === undefined ? `Node.js ${node}` : `Deno ${deno}`
}

/**
 * What code of a user's threw, as an error: it may have thrown null, or a string, which are no errors to code that reads
 * one. What is an object stays what it is.
 */
export function thrownError(thrown: unknown): Error {
  if ((typeof thrown === 'object' && thrown !== null) || typeof thrown === 'function') return thrown as Error
  return new Error(`what was thrown is no error: ${String(thrown)}`, { cause: thrown })
}
