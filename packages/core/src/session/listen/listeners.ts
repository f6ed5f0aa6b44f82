import { AsyncLocalStorage } from 'node:async_hooks'
import { type Limit, tighter, unlimited } from '../../base/limit.js'
import { sleep } from '../../base/sleep.js'
import { warnOf } from '../../base/user-callback.js'
import { classify } from '../../errors/classify.js'
import { within } from '../../errors/given-up.js'
import { InvalidOptionError } from '../../errors/invalid-option-error.js'
import { assertKnownOptions } from '../../errors/known-options.js'
import { OperationTimeoutError } from '../../errors/operation-errors.js'
import { ownedBy } from '../../errors/origin.js'
import { ConnectionLostError, PoolClosedError } from '../../errors/pool-errors.js'
import type { Host } from '../../host/host.js'
import { fullJitter } from '../../policy/backoff.js'
import type { Connection } from '../../wire/connection.js'
import { type NotificationMessage, onNotification } from '../../wire/notifications.js'
import { Statement } from '../../wire/statement.js'
import type { Ambient } from '../ambient.js'
import { quoteIdentifier } from '../quote-name.js'
import {
  channelsOf,
  type ListenOptions,
  listenNames,
  type NotificationHandler,
  type Subscription,
} from './subscription.js'

/** How the listening session is kept. */
export interface ListenerLimits {
  /** How often it is asked for a sign of life, and how long that may take, in milliseconds. */
  readonly heartbeatMs: number
  /** How long `listen` waits when it does not say. */
  readonly startTimeoutMs: number
}

/** One call of `listen`. */
interface Entry {
  readonly channels: readonly string[]
  readonly handler: NotificationHandler
  readonly options: ListenOptions
  /** Runs something in the context of the caller, but outside of all that the pool has open around it. */
  readonly detached: (fn: () => unknown) => unknown
  readonly live: PromiseWithResolvers<void>
  /** Whether it was ever listening: what it misses from then on is a gap. */
  isLive: boolean
}

/** Pauses between attempts to have the session again. */
const backoff = { baseMs: 100, capMs: 5_000 }

/**
 * All subscriptions of a pool, on one session beside it: it is there while there is a subscription, and does not count
 * against `max`, as a pool of one connection could else never listen. It comes back when it is lost, and is asked for a
 * sign of life, since a session that has nothing to say looks the same as one that is gone.
 */
export class Listeners {
  readonly #host: Host
  readonly #ambient: Ambient
  readonly #limits: ListenerLimits
  readonly #entries = new Set<Entry>()
  /** Channels that the session of now is listening to. */
  readonly #heard = new Set<string>()
  readonly #ending = new AbortController()
  /** Resolved when there is something new to do. */
  #change = Promise.withResolvers<void>()
  /** Resolved each time that the session listens to what is wanted, and to no more. */
  #agreed = Promise.withResolvers<void>()
  #running: Promise<void> | undefined
  /** When the session was last known to work. */
  #aliveAt = 0
  #lastError: unknown

  constructor(host: Host, ambient: Ambient, limits: ListenerLimits) {
    this.#host = host
    this.#ambient = ambient
    this.#limits = limits
  }

  /** Settles when the server listens. */
  async listen(
    given: string | readonly string[],
    handler: NotificationHandler,
    options: ListenOptions = {},
  ): Promise<Subscription> {
    assertKnownOptions(options, listenNames)
    const channels = channelsOf(given)
    if (typeof handler !== 'function')
      throw new InvalidOptionError('the handler', `of type ${typeof handler}`, 'a function')
    if (this.#ending.signal.aborted) throw new PoolClosedError('cannot listen')
    const { clock } = this.#host.environment
    const { startTimeoutMs } = this.#limits
    const start: Limit = { deadlineAt: clock.now() + startTimeoutMs, timeoutMs: startTimeoutMs, signal: undefined }
    const own = this.#ambient.limitFor(options)
    const limit = options.timeoutMs === undefined ? tighter(own, start) : own
    const entry = this.#entry(channels, handler, options)
    this.#entries.add(entry)
    this.#kick()
    try {
      await within(entry.live.promise, limit, clock, 'not-sent', this.#host.environment)
    } catch (error) {
      this.#remove(entry)
      const why = this.#lastError
      if (!(error instanceof OperationTimeoutError) || why === undefined) throw error
      throw ownedBy(new OperationTimeoutError(error.timeoutMs, 'not-sent', { cause: why }), this.#host.environment)
    }
    const unlisten = async (): Promise<void> => {
      options.signal?.removeEventListener('abort', unlisten)
      if (!this.#remove(entry)) return
      // A session that is down has nothing to say any more, and one that is up soon says no more.
      if (this.#heard.size > 0) await this.#agreed.promise
    }
    options.signal?.addEventListener('abort', unlisten, { once: true })
    return { channels, unlisten, [Symbol.asyncDispose]: unlisten }
  }

  /** Ends every subscription, and settles when the session is closed. */
  async end(): Promise<void> {
    this.#ending.abort()
    for (const { live } of this.#entries) live.reject(new PoolClosedError('cannot listen'))
    this.#entries.clear()
    this.#kick()
    await this.#running
  }

  #entry(channels: readonly string[], handler: NotificationHandler, options: ListenOptions): Entry {
    const asCaller = AsyncLocalStorage.snapshot()
    const detached = (fn: () => unknown): unknown => asCaller(() => this.#ambient.exit(fn))
    return { channels, handler, options, detached, live: Promise.withResolvers<void>(), isLive: false }
  }

  #remove(entry: Entry): boolean {
    const wasThere = this.#entries.delete(entry)
    if (wasThere) this.#kick()
    return wasThere
  }

  #kick(): void {
    this.#change.resolve()
    if (this.#running !== undefined || this.#entries.size === 0) return
    this.#running = this.#ambient
      .exit(() => this.#run())
      .finally(() => {
        this.#running = undefined
        // Somebody came while the last one was leaving.
        if (this.#entries.size > 0) this.#kick()
      })
  }

  async #run(): Promise<void> {
    const { clock, random } = this.#host.environment
    let failures = 0
    this.#lastError = undefined
    while (this.#entries.size > 0) {
      try {
        await this.#host.aside(
          (connection) => this.#hold(connection, () => (failures = 0)),
          this.#bound(Number.POSITIVE_INFINITY),
        )
      } catch (error) {
        if (this.#ending.signal.aborted) break
        this.#lastError = error
        failures += 1
        // What waiting does not cure is told to those who wait; those who were listening wait on for better times.
        if (classify(error, 'connect') === 'configuration') {
          for (const entry of this.#entries) if (!entry.isLive) entry.live.reject(error)
        }
        await sleep(fullJitter(failures, backoff, random), clock, this.#bound(Number.POSITIVE_INFINITY))
      } finally {
        this.#heard.clear()
        this.#agree()
      }
    }
  }

  /** Keeps one session for as long as it is wanted and lives. */
  async #hold(connection: Connection, onUp: () => void): Promise<void> {
    onNotification(connection, (message) => this.#deliver(message))
    const lost = new Promise<void>((resolve) => connection.onLost(() => resolve()))
    for (;;) {
      this.#change = Promise.withResolvers<void>()
      if (this.#entries.size === 0) break
      await this.#reconcile(connection)
      onUp()
      const stop = new AbortController()
      const pause = sleep(this.#limits.heartbeatMs, this.#host.environment.clock, { ...unlimited, signal: stop.signal })
      await Promise.race([this.#change.promise, lost, pause])
      stop.abort()
      if (!connection.isAlive) throw new ConnectionLostError(true, { cause: connection.lostWith })
    }
    // Here, so that whoever ends the pool waits for it.
    await connection.close()
  }

  /** Makes the session listen to what is wanted, or, when it does already, shows that it lives: one statement. */
  async #reconcile(connection: Connection): Promise<void> {
    const wanted = new Set([...this.#entries].flatMap(({ channels }) => channels))
    const more = [...wanted].filter((channel) => !this.#heard.has(channel))
    const less = [...this.#heard].filter((channel) => !wanted.has(channel))
    const text = [
      ...more.map((channel) => `listen ${quoteIdentifier(channel)}`),
      ...less.map((channel) => `unlisten ${quoteIdentifier(channel)}`),
    ].join('; ')
    await connection.run(new Statement({ text }), this.#bound(this.#limits.heartbeatMs))
    for (const channel of more) this.#heard.add(channel)
    for (const channel of less) this.#heard.delete(channel)
    const isNew = this.#lastError !== undefined
    const gap = { sinceMs: this.#host.environment.clock.now() - this.#aliveAt, error: this.#lastError }
    this.#aliveAt = this.#host.environment.clock.now()
    this.#lastError = undefined
    for (const entry of [...this.#entries]) {
      if (!entry.channels.every((channel) => this.#heard.has(channel))) continue
      if (!entry.isLive) {
        entry.isLive = true
        entry.live.resolve()
      } else if (isNew) this.#call(entry, () => entry.options.onGap?.(gap))
    }
    const isAgreed = [...this.#heard].every((channel) =>
      [...this.#entries].some(({ channels }) => channels.includes(channel)),
    )
    if (isAgreed) this.#agree()
  }

  #agree(): void {
    this.#agreed.resolve()
    this.#agreed = Promise.withResolvers<void>()
  }

  #deliver({ channel, payload, pid }: NotificationMessage): void {
    this.#aliveAt = this.#host.environment.clock.now()
    for (const entry of [...this.#entries]) {
      if (entry.channels.includes(channel)) this.#call(entry, () => entry.handler(payload, { channel, pid }))
    }
  }

  /** Whatever goes wrong in a handler becomes a warning: neither the others nor the session are to suffer from it. */
  #call(entry: Entry, fn: () => unknown): void {
    entry.detached(async () => {
      try {
        await fn()
      } catch (error) {
        warnOf(error, 'LifeguardListenerWarning')
      }
    })
  }

  #bound(ms: number): Limit {
    const { clock } = this.#host.environment
    return { deadlineAt: clock.now() + ms, timeoutMs: ms, signal: this.#ending.signal }
  }
}
