import { Deadline, givenUp, type OperationOptions } from '../deadline/deadline.js'
import { isOwnInfrastructureError } from '../errors/classify.js'
import { assertKnownOptions, optionNames } from '../errors/known-options.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import { ownedBy } from '../errors/origin.js'
import { warnOf } from '../observe/user-callback.js'
import { runWithin } from '../transaction/ambient-deadline.js'
import type { AmbientContext } from '../transaction/context.js'
import type { SessionEnvironment } from '../transaction/environment.js'

/**
 * Where last good values are kept: Keyv, a Map with a few lines around it, or anything of this form. A cache that throws,
 * rejects, or does not answer within half a second counts as empty, and a `cache-error` event reports it: it never fails a
 * call.
 */
export interface FallbackCache {
  get(key: string): unknown
  /** Values are plain objects that this library makes, to be stored as they are or serialised as JSON. */
  set(key: string, value: unknown, ttlMs?: number): unknown
}

/** How `withFallback` remembers. */
export interface FallbackOptions extends OperationOptions {
  readonly cache: FallbackCache
  /**
   * For how long a value is returned without asking the database at all, in milliseconds.
   *
   * @default 0 (the database is always asked first)
   */
  readonly ttlMs?: number | undefined
  /**
   * How old a value may be that is returned while the database cannot be asked, in milliseconds.
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

/** What is stored. The cache is foreign code, so that what it returns is checked. */
interface Stored {
  readonly value: unknown
  readonly storedAt: number
}

/** One call of `fn`, shared by all that wait for the same value. */
interface Flight {
  readonly done: Promise<FlightOutcome>
  /** The context of the caller that leads: others join only when they would read the same. */
  readonly context: AmbientContext | undefined
}

/** `abandoned`: the caller that leads gave up, and what the database would have answered is not known. */
type FlightOutcome =
  | { readonly kind: 'value'; readonly value: unknown }
  | { readonly kind: 'failed'; readonly error: unknown }
  | { readonly kind: 'abandoned' }

const defaultStaleIfErrorMs = 60_000
/** How long a cache may take. One that is slower than a database is of no use. */
const cacheBoundMs = 500
/** Timers count whole milliseconds, and may fire that much before the clock shows it. */
const earlyMs = 2
const names = optionNames<FallbackOptions>({
  signal: true,
  timeoutMs: true,
  cache: true,
  ttlMs: true,
  staleIfErrorMs: true,
})

/**
 * `pool.withFallback`. The last good answer is returned on errors of infrastructure alone (no connection, no free place, no
 * time), never on an error of the statement or of anything else that `fn` does. Callers that ask for the same key of the
 * same cache at the same time share one call. Each keeps its own deadline: when one gives up, the others go on waiting, and
 * when it was the one that leads, another asks again.
 */
export class Fallback {
  readonly #environment: SessionEnvironment
  readonly #flights = new WeakMap<FallbackCache, Map<string, Flight>>()
  /** Caches of which a process warning has reported that they fail. */
  readonly #warned = new WeakSet<FallbackCache>()

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
        throw new InvalidArgumentError(name, String(value), 'a number of milliseconds, 0 or more')
      }
    }
    if (typeof cache?.get !== 'function' || typeof cache.set !== 'function') {
      throw new InvalidArgumentError('cache', `of type ${typeof cache}`, 'an object with get and set')
    }
    if (typeof key !== 'string') throw new InvalidArgumentError('key', `of type ${typeof key}`, 'a string')
    if (typeof fn !== 'function') throw new InvalidArgumentError('fn', `of type ${typeof fn}`, 'a function')
    return this.#get(key, fn, cache, ttlMs, staleIfErrorMs, this.#environment.ambient.deadlineFor(options))
  }

  async #get<T>(
    key: string,
    fn: () => Promise<T>,
    cache: FallbackCache,
    ttlMs: number,
    staleIfErrorMs: number,
    deadline: Deadline,
  ): Promise<FallbackResult<T>> {
    const { clock } = this.#environment.server.environment
    const stored = await this.#stored(cache, key, deadline)
    const ageMs = (): number =>
      stored === undefined ? Number.POSITIVE_INFINITY : Math.max(0, clock.wallNow() - stored.storedAt)
    const found = ageMs()
    if (stored !== undefined && found < ttlMs) {
      return { value: stored.value as T, stale: false, ageMs: found, error: undefined }
    }
    try {
      const keep = async (value: T): Promise<void> => {
        const kept: Stored = { value, storedAt: clock.wallNow() }
        const set = (): unknown => cache.set(key, kept, Math.max(ttlMs, staleIfErrorMs))
        // The caller gets the value, also when there is no time left to wait until it is stored.
        await this.#ask(cache, key, 'set', set, deadline).catch(() => undefined)
      }
      const value = await this.#fresh(key, cache, fn, deadline, keep)
      return { value, stale: false, ageMs: 0, error: undefined }
    } catch (error) {
      const age = ageMs()
      const { environment } = this.#environment.server
      if (stored === undefined || age > staleIfErrorMs || !isOwnInfrastructureError(error, environment)) throw error
      return { value: stored.value as T, stale: true, ageMs: age, error }
    }
  }

  /** The answer of the database now, to this caller or to the one who has asked already. */
  async #fresh<T>(
    key: string,
    cache: FallbackCache,
    fn: () => Promise<T>,
    deadline: Deadline,
    keep: (value: T) => Promise<void>,
  ): Promise<T> {
    const { ambient, server } = this.#environment
    const context = ambient.current
    for (;;) {
      const reached = deadline.reached()
      if (reached !== undefined) throw ownedBy(givenUp(reached, 'not-sent'), server.environment)
      const flights = this.#flightsOf(cache)
      const flight = flights.get(key)
      // In a transaction nothing is shared: it may see what is not committed, under a role of its own.
      if (context?.transaction !== undefined || (flight !== undefined && !isLike(flight.context, context))) {
        const value = await runWithin(this.#environment, deadline, fn)
        await keep(value)
        return value
      }
      if (flight === undefined) return await this.#lead(key, flights, fn, deadline, keep)
      const outcome = await this.#outcomeOf(flight, deadline)
      if (outcome.kind === 'value') return outcome.value as T
      if (outcome.kind === 'failed') throw outcome.error
    }
  }

  /** Calls `fn`, for itself and those who join meanwhile. */
  async #lead<T>(
    key: string,
    flights: Map<string, Flight>,
    fn: () => Promise<T>,
    deadline: Deadline,
    keep: (value: T) => Promise<void>,
  ): Promise<T> {
    const { ambient, server } = this.#environment
    const outcome = Promise.withResolvers<FlightOutcome>()
    flights.set(key, { done: outcome.promise, context: ambient.current })
    const settle = (settled: FlightOutcome): void => {
      flights.delete(key)
      outcome.resolve(settled)
    }
    try {
      const value = await runWithin(this.#environment, deadline, fn)
      settle({ kind: 'value', value })
      await keep(value)
      return value
    } catch (error) {
      const isOver = deadline.signal?.aborted === true || server.environment.clock.now() >= deadline.at - earlyMs
      settle(isOver ? { kind: 'abandoned' } : { kind: 'failed', error })
      throw error
    }
  }

  /** Waits for what somebody else asked, within this caller's own deadline. */
  async #outcomeOf({ done }: Flight, deadline: Deadline): Promise<FlightOutcome> {
    const { environment } = this.#environment.server
    return await deadline.within(done, 'not-sent').catch((error: unknown) => {
      throw ownedBy(error, environment)
    })
  }

  #flightsOf(cache: FallbackCache): Map<string, Flight> {
    const found = this.#flights.get(cache)
    if (found !== undefined) return found
    const flights = new Map<string, Flight>()
    this.#flights.set(cache, flights)
    return flights
  }

  /** What the cache has, if it was stored by this library. */
  async #stored(cache: FallbackCache, key: string, deadline: Deadline): Promise<Stored | undefined> {
    return await this.#ask(
      cache,
      key,
      'get',
      () => {
        const got = cache.get(key)
        return isThenable(got) ? Promise.resolve(got).then(asStored) : asStored(got)
      },
      deadline,
    )
  }

  /** Asks the cache; whatever goes wrong there counts as no answer. Rejects only when the caller's deadline is reached. */
  async #ask<R>(
    cache: FallbackCache,
    key: string,
    operation: 'get' | 'set',
    ask: () => R | PromiseLike<R>,
    deadline: Deadline,
  ): Promise<R | undefined> {
    const { environment } = this.#environment.server
    const { clock } = environment
    const failed = (error: unknown): undefined => {
      this.#report(cache, key, operation, error)
    }
    let answer: R | PromiseLike<R>
    try {
      answer = ask()
      if (!isThenable(answer)) return answer
    } catch (error) {
      return failed(error)
    }
    const bounded = Deadline.after(cacheBoundMs, clock).within(Promise.resolve(answer), 'unknown')
    return await deadline.within(bounded.catch(failed)).catch((error: unknown) => {
      throw ownedBy(error, environment)
    })
  }

  #report(cache: FallbackCache, key: string, operation: 'get' | 'set', error: unknown): void {
    const heard = this.#environment.events.emit('cache-error', () => ({ key, operation, error }))
    if (heard || this.#warned.has(cache)) return
    this.#warned.add(cache)
    warnOf(error, 'LifeguardCacheWarning')
  }
}

/** Whether what two callers read would be the same: the same bounds of `read`, and the same writes to be seen. */
function isLike(one: AmbientContext | undefined, other: AmbientContext | undefined): boolean {
  return one?.reading === other?.reading && one?.causality === other?.causality
}

function isThenable<R>(value: R | PromiseLike<R>): value is PromiseLike<R> {
  return (
    value !== null &&
    (typeof value === 'object' || typeof value === 'function') &&
    typeof (value as { readonly then?: unknown }).then === 'function'
  )
}

/** @throws when it is something else, which is reported as an error of the cache */
function asStored(got: unknown): Stored | undefined {
  if (got === undefined || got === null) return undefined
  const { value, storedAt } = got as Partial<Stored>
  if (typeof got === 'object' && 'value' in got && typeof storedAt === 'number' && Number.isFinite(storedAt)) {
    return { value, storedAt }
  }
  throw new TypeError(`the cache gave something that withFallback has not stored, of type ${typeof got}`)
}
