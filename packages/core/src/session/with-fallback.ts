import type { OperationOptions } from '../base/limit.js'
import { isInfrastructureError } from '../errors/classify.js'
import { InvalidOptionError } from '../errors/invalid-option-error.js'
import { assertKnownOptions, optionNames } from '../errors/known-options.js'
import { withLimit } from './ambient-deadline.js'
import type { SessionEnvironment } from './session-environment.js'

/** Where last good values are kept: Keyv, a Map with a few lines around it, or anything of this form. */
export interface FallbackCache {
  get(key: string): unknown
  /** Values are plain objects of this library's making, to be stored as they are or serialised as JSON. */
  set(key: string, value: unknown, ttlMs?: number): unknown
}

/** How `withFallback` remembers. */
export interface FallbackOptions extends OperationOptions {
  readonly cache: FallbackCache
  /**
   * For how long a value is given without asking the database at all, in milliseconds.
   *
   * @default 0 (the database is always asked first)
   */
  readonly ttlMs?: number | undefined
  /**
   * How old a value may be to stand in while the database cannot be asked, in milliseconds.
   *
   * @default 60000
   */
  readonly staleIfErrorMs?: number | undefined
}

/** A value, and whether the database gave it just now. */
export interface FallbackResult<T> {
  readonly value: T
  /** True when the database could not be asked and this is its last good answer. */
  readonly stale: boolean
  /** How old the value is, in milliseconds; `0` when it is fresh from the database. */
  readonly ageMs: number
  /** Why the database could not be asked; undefined unless `stale`. */
  readonly error: unknown
}

interface Stored {
  readonly value: unknown
  readonly storedAt: number
}

const defaultStaleIfErrorMs = 60_000
const names = optionNames<FallbackOptions>({
  signal: true,
  timeoutMs: true,
  cache: true,
  ttlMs: true,
  staleIfErrorMs: true,
})

/**
 * Asks the database through `fn`, and gives its last good answer when the database cannot be asked: on errors of
 * infrastructure alone (no connection, no free place, no time), never on an error of the statement. Callers that ask
 * for the same key at the same time share one call.
 */
export class Fallback {
  readonly #environment: SessionEnvironment
  readonly #flights = new Map<string, Promise<FallbackResult<unknown>>>()

  constructor(environment: SessionEnvironment) {
    this.#environment = environment
  }

  get<T>(key: string, fn: () => Promise<T>, options: FallbackOptions): Promise<FallbackResult<T>> {
    assertKnownOptions(options, names)
    const { staleIfErrorMs = defaultStaleIfErrorMs, ttlMs = 0, cache } = options
    for (const [name, value] of [
      ['ttlMs', ttlMs],
      ['staleIfErrorMs', staleIfErrorMs],
    ] as const) {
      if (!(typeof value === 'number' && value >= 0)) {
        throw new InvalidOptionError(name, String(value), 'a number of milliseconds, 0 or more')
      }
    }
    if (typeof cache?.get !== 'function' || typeof cache.set !== 'function') {
      throw new InvalidOptionError('cache', `of type ${typeof cache}`, 'an object with get and set')
    }
    const flying = this.#flights.get(key)
    if (flying !== undefined) return flying as Promise<FallbackResult<T>>
    const flight = this.#ask(key, fn, cache, ttlMs, staleIfErrorMs, options).finally(() => this.#flights.delete(key))
    this.#flights.set(key, flight)
    return flight
  }

  async #ask<T>(
    key: string,
    fn: () => Promise<T>,
    cache: FallbackCache,
    ttlMs: number,
    staleIfErrorMs: number,
    options: OperationOptions,
  ): Promise<FallbackResult<T>> {
    const { clock } = this.#environment.host.environment
    const stored = (await cache.get(key)) as Stored | undefined
    const ageMs = stored === undefined ? Number.POSITIVE_INFINITY : Math.max(0, clock.wallNow() - stored.storedAt)
    if (stored !== undefined && ageMs < ttlMs) {
      return { value: stored.value as T, stale: false, ageMs, error: undefined }
    }
    try {
      const { ambient } = this.#environment
      const value = await withLimit(this.#environment, ambient.limitFor(options), fn)
      await cache.set(key, { value, storedAt: clock.wallNow() } satisfies Stored, Math.max(ttlMs, staleIfErrorMs))
      return { value, stale: false, ageMs: 0, error: undefined }
    } catch (error) {
      if (stored === undefined || ageMs > staleIfErrorMs || !isInfrastructureError(error)) throw error
      return { value: stored.value as T, stale: true, ageMs, error }
    }
  }
}
