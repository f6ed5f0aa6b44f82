import { type Connection, type NotificationMessage, onNotification } from '../connection/connection.js'
import { Statement } from '../connection/statement.js'
import { Deadline, givenUp, sleep } from '../deadline/deadline.js'
import { classify } from '../errors/classify.js'
import { assertKnownOptions } from '../errors/known-options.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import { OperationTimeoutError } from '../errors/operation-errors.js'
import { ownedBy } from '../errors/origin.js'
import { ConnectionLostError, PoolClosedError } from '../errors/pool-errors.js'
import { type CallerContext, callerContext, captureContext, inNoContext } from '../observe/context.js'
import { noop } from '../observe/noop.js'
import { callUser, warnOfListener } from '../observe/user-callback.js'
import {
  channelsOf,
  type ListenOptions,
  listenNames,
  type NotificationHandler,
  type Subscription,
} from '../query/subscription.js'
import { fullJitter } from '../resilience/retry.js'
import type { Server } from '../server/server.js'
import { quoteIdentifier } from '../sql/quote.js'
import type { Ambient } from '../transaction/context.js'

/** Who wants which channels. What it costs depends on the channels that are named, and not on how many there are. */
class Channels<Entry extends { readonly channels: readonly string[] }> {
  readonly #byName = new Map<string, Set<Entry>>()

  /** Every channel that is wanted. */
  get names(): Iterable<string> {
    return this.#byName.keys()
  }

  isWanted(channel: string): boolean {
    return this.#byName.has(channel)
  }

  /** Everybody who wants it, in the order in which they came; a list that stays as it is. */
  of(channel: string): readonly Entry[] {
    return [...(this.#byName.get(channel) ?? [])]
  }

  add(entry: Entry): void {
    for (const channel of entry.channels) {
      const entries = this.#byName.get(channel)
      if (entries === undefined) this.#byName.set(channel, new Set([entry]))
      else entries.add(entry)
    }
  }

  delete(entry: Entry): void {
    for (const channel of entry.channels) {
      const entries = this.#byName.get(channel)
      entries?.delete(entry)
      if (entries?.size === 0) this.#byName.delete(channel)
    }
  }
}

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
  /** Runs something in the context of the caller, but outside of all that pools have open around it. */
  readonly outside: (fn: () => void) => void
  readonly live: PromiseWithResolvers<void>
  /** Where it was asked for, while somebody traces. */
  readonly caller: CallerContext | undefined
  /** Whether it was ever listening: what it misses from then on is a gap. */
  isLive: boolean
  /** Whether its caller has been given the subscription, and hears through it of what comes. */
  isGiven: boolean
  /** What has ended it, other than `unlisten`. */
  endedBy: Error | undefined
  /** Lets go of the caller's signal. */
  release: () => void
}

/** Pauses between attempts to have the session again. */
const backoff = { baseMs: 100, capMs: 5_000 }

/**
 * All subscriptions of a pool, on one session beside it: it is there while there is a subscription, and does not count
 * against `max`, as a pool of one connection could else never listen. It comes back when it is lost, and is asked for a
 * sign of life, since a session that has nothing to say looks the same as one that is gone.
 */
export class Listeners {
  readonly #server: Server
  readonly #ambient: Ambient
  readonly #limits: ListenerLimits
  readonly #entries = new Set<Entry>()
  readonly #channels = new Channels<Entry>()
  /** Those who wait until the session listens for them. */
  readonly #starting = new Set<Entry>()
  /** Channels that the session of now is listening to. */
  readonly #heard = new Set<string>()
  /** Channels of which the session may not do what is wanted yet. */
  readonly #changed = new Set<string>()
  /** Channels that nobody wants, until the session has unlistened. */
  readonly #leaving = new Map<string, PromiseWithResolvers<void>>()
  /** Resolved when there is something new to do. */
  #change = Promise.withResolvers<void>()
  #running: Promise<void> | undefined
  /** Ends what runs now. */
  #ending = new AbortController()
  /** When the session was last known to work. */
  #aliveAt = 0
  #lastError: unknown

  constructor(server: Server, ambient: Ambient, limits: ListenerLimits) {
    this.#server = server
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
      throw new InvalidArgumentError('the handler', `of type ${typeof handler}`, 'a function')
    for (const name of ['onGap', 'onEnd'] as const) {
      const callback: unknown = options[name]
      if (callback !== undefined && typeof callback !== 'function')
        throw new InvalidArgumentError(name, `of type ${typeof callback}`, 'a function')
    }
    const { clock } = this.#server.environment
    const { startTimeoutMs } = this.#limits
    const start = Deadline.after(startTimeoutMs, clock)
    const own = this.#ambient.deadlineFor(options)
    const deadline = options.timeoutMs === undefined ? own.tighter(start) : own
    if (this.#server.pool.isEnding) throw ownedBy(new PoolClosedError('cannot listen'), this.#server.environment)
    const reached = deadline.reached()
    if (reached !== undefined) throw ownedBy(givenUp(reached, 'not-sent'), this.#server.environment)
    const entry = this.#add(channels, handler, options)
    try {
      await deadline.within(entry.live.promise, 'not-sent', this.#server.environment)
    } catch (error) {
      void this.#remove(entry)
      const why = this.#lastError
      if (!(error instanceof OperationTimeoutError) || why === undefined) throw error
      throw ownedBy(new OperationTimeoutError(error.timeoutMs, 'not-sent', { cause: why }), this.#server.environment)
    }
    // It may have ended since the server began to listen.
    if (entry.endedBy !== undefined) throw entry.endedBy
    entry.isGiven = true
    const unlisten = (): Promise<void> => this.#remove(entry)
    return { channels, unlisten, [Symbol.asyncDispose]: unlisten }
  }

  /**
   * Ends every subscription at once, and settles when the session is closed. Not for ever: the end of a pool can be
   * undone, and then there may be new ones.
   */
  async end(): Promise<void> {
    const error = ownedBy(new PoolClosedError('ended the subscription'), this.#server.environment)
    const entries = [...this.#entries]
    for (const entry of entries) {
      void this.#remove(entry, error)
      entry.live.reject(ownedBy(new PoolClosedError('cannot listen'), this.#server.environment))
    }
    this.#ending.abort()
    for (const { isGiven, options, outside } of entries) {
      if (isGiven) outside(() => callUser(() => options.onEnd?.(error), warnOfListener))
    }
    await this.#running
  }

  #add(channels: readonly string[], handler: NotificationHandler, options: ListenOptions): Entry {
    const { signal } = options
    const live = Promise.withResolvers<void>()
    // Whoever waits for it may have given up by then.
    live.promise.catch(noop)
    const onAbort = (): void =>
      void this.#remove(entry, givenUp({ kind: 'aborted', reason: signal?.reason }, 'not-sent'))
    const entry: Entry = {
      channels,
      handler,
      options,
      outside: this.#ambient.exit(captureContext),
      live,
      caller: callerContext(),
      isLive: false,
      isGiven: false,
      endedBy: undefined,
      release: () => signal?.removeEventListener('abort', onAbort),
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    this.#entries.add(entry)
    this.#starting.add(entry)
    this.#channels.add(entry)
    for (const channel of channels) this.#look(channel)
    this.#kick()
    return entry
  }

  /** Takes it out, once. Settles when the server sends nothing more for its sake. */
  async #remove(entry: Entry, endedBy?: Error): Promise<void> {
    if (this.#entries.delete(entry)) {
      entry.endedBy = endedBy
      entry.release()
      this.#starting.delete(entry)
      this.#channels.delete(entry)
      for (const channel of entry.channels) this.#look(channel)
      this.#kick()
    }
    // A session that is down has nothing to say any more, and one that is up soon says no more.
    await Promise.all(entry.channels.map((channel) => this.#leaving.get(channel)?.promise))
  }

  /** Notes what is to be done about a channel. */
  #look(channel: string): void {
    const isWanted = this.#channels.isWanted(channel)
    const isHeard = this.#heard.has(channel)
    if (isWanted === isHeard) this.#changed.delete(channel)
    else this.#changed.add(channel)
    if (isHeard && !isWanted) {
      if (!this.#leaving.has(channel)) this.#leaving.set(channel, Promise.withResolvers())
    } else {
      this.#leaving.get(channel)?.resolve()
      this.#leaving.delete(channel)
    }
  }

  #kick(): void {
    this.#change.resolve()
    if (this.#running !== undefined || this.#entries.size === 0) return
    this.#ending = new AbortController()
    // Outside of every context: it outlives whoever came first, and serves whoever comes later.
    this.#running = inNoContext(async () => {
      await this.#run(this.#ending.signal)
      this.#running = undefined
      // Somebody came while the last one was leaving.
      if (this.#entries.size > 0) this.#kick()
    })
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#server.environment
    const wanted = Deadline.ofSignal(signal)
    let failures = 0
    this.#lastError = undefined
    while (this.#entries.size > 0 && !signal.aborted) {
      try {
        await this.#server.runBeside(
          'listen',
          (connection) => this.#hold(connection, signal, () => (failures = 0)),
          wanted,
          true,
        )
      } catch (error) {
        if (signal.aborted) break
        this.#lastError = error
        failures += 1
        // What waiting does not cure rejects the calls that wait; subscriptions that were listening go on waiting.
        if (classify(error, 'connect') === 'configuration') for (const { live } of this.#starting) live.reject(error)
        await sleep(fullJitter(failures, backoff, random), clock, wanted)
      }
    }
  }

  /** Keeps one session for as long as it is wanted and lives. */
  async #hold(connection: Connection, signal: AbortSignal, onUp: () => void): Promise<void> {
    const { clock } = this.#server.environment
    try {
      onNotification(connection, (message) => this.#deliver(message))
      // No race of promises: each one would leave something on a promise that lives as long as the session.
      connection.onLost(() => this.#change.resolve())
      for (const channel of this.#channels.names) this.#look(channel)
      for (;;) {
        this.#change = Promise.withResolvers<void>()
        if (this.#entries.size === 0 || signal.aborted) return
        await this.#reconcile(connection, signal)
        onUp()
        if (!connection.isAlive) throw new ConnectionLostError(true, { cause: connection.lostWith })
        const { promise, resolve } = this.#change
        const pause = clock.setTimer(this.#limits.heartbeatMs, resolve)
        await promise
        clock.clearTimer(pause)
        if (!connection.isAlive) throw new ConnectionLostError(true, { cause: connection.lostWith })
      }
    } finally {
      const heard = [...this.#heard]
      this.#heard.clear()
      for (const channel of heard) this.#look(channel)
      // Here, so that whoever ends the pool waits for it.
      await connection.close()
    }
  }

  /** Makes the session listen to what is wanted, or, when it does already, shows that it lives: one statement. */
  async #reconcile(connection: Connection, signal: AbortSignal): Promise<void> {
    const { clock } = this.#server.environment
    const { heartbeatMs } = this.#limits
    const changed = [...this.#changed].map((channel) => [channel, this.#channels.isWanted(channel)] as const)
    const starting = [...this.#starting]
    const text = changed
      .map(([channel, isWanted]) => `${isWanted ? 'listen' : 'unlisten'} ${quoteIdentifier(channel)}`)
      .join('; ')
    const deadline = Deadline.after(heartbeatMs, clock, signal)
    const statement = new Statement({ text })
    // One statement for all who wait for it: it is traced as that of the first.
    statement.caller = starting[0]?.caller ?? statement.caller
    await connection.run(statement, deadline)
    for (const [channel, isHeard] of changed) {
      if (isHeard) this.#heard.add(channel)
      else this.#heard.delete(channel)
      this.#look(channel)
    }
    const gap = { sinceMs: clock.now() - this.#aliveAt, error: this.#lastError }
    this.#aliveAt = clock.now()
    if (this.#lastError !== undefined) {
      this.#lastError = undefined
      for (const entry of [...this.#entries]) if (entry.isLive) this.#call(entry, () => entry.options.onGap?.(gap))
    }
    for (const entry of starting) {
      // One that is gone again has been deleted.
      if (!this.#starting.delete(entry)) continue
      entry.isLive = true
      entry.live.resolve()
    }
  }

  #deliver({ channel, payload, pid }: NotificationMessage): void {
    this.#aliveAt = this.#server.environment.clock.now()
    for (const entry of this.#channels.of(channel)) this.#call(entry, () => entry.handler(payload, { channel, pid }))
  }

  /** Whatever goes wrong in a handler becomes a warning: neither the others nor the session are to suffer from it. */
  #call(entry: Entry, fn: () => unknown): void {
    // One before it may have ended it.
    if (this.#entries.has(entry)) entry.outside(() => callUser(fn, warnOfListener))
  }
}
