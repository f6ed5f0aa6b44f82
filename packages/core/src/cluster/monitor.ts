import type { Connection } from '../connection/connection.js'
import type { Clock, Timer } from '../deadline/clock.js'
import { Deadline } from '../deadline/deadline.js'
import { inNoContext } from '../observe/context.js'
import { type ServerStatus, StatusProbe } from './probe.js'
import type { Lsn } from './replica-lag.js'

/** How long a probe may take, connecting included; a server that takes longer is as good as lost. */
const boundMs = 1_000
/** A connection that was not used for this long is closed. */
const idleMs = 10_000

/** What a probe waits for, and how long at most. */
interface Awaited {
  readonly lsn: Lsn
  readonly ms: number
}

/**
 * Looks at one server, through a connection of its own beside every pool: what has to be known while a pool is exhausted
 * or its server gone must not wait in that pool. One probe at a time; who asks meanwhile gets the same one.
 */
export class Monitor {
  readonly #open: (signal: AbortSignal) => Promise<Connection>
  readonly #clock: Clock
  readonly #onSeen: (status: ServerStatus) => void
  readonly #onFailed: (error: unknown) => void
  #connection: Connection | undefined
  #probe: StatusProbe | undefined
  #probing: Promise<ServerStatus> | undefined
  #idleTimer: Timer | undefined
  #askedAt = Number.NEGATIVE_INFINITY
  #ended = false
  #sessions = 0

  constructor(
    open: (signal: AbortSignal) => Promise<Connection>,
    clock: Clock,
    onSeen: (status: ServerStatus) => void,
    onFailed: (error: unknown) => void,
  ) {
    this.#open = open
    this.#clock = clock
    this.#onSeen = onSeen
    this.#onFailed = onFailed
  }

  /** When the last probe began; -Infinity before the first. */
  get askedAt(): number {
    return this.#askedAt
  }

  /** Connections that it has now, with one that is being opened or closed. */
  get sessions(): number {
    return this.#sessions
  }

  /** Whether a probe is under way. */
  get isProbing(): boolean {
    return this.#probing !== undefined
  }

  /** Whether the server can wait until it has replayed something; undefined while that is not known. */
  get waits(): boolean | undefined {
    return this.#probe?.waits
  }

  /** Probes now, or joins the probe that is under way; rejects when the server does not answer in time. */
  probe(): Promise<ServerStatus> {
    return this.#join(undefined)
  }

  /** Looks when the server has replayed up to `lsn`, or after `ms` milliseconds; at once when it cannot wait. */
  probeAfter(lsn: Lsn, ms: number): Promise<ServerStatus> {
    return this.#join({ lsn, ms })
  }

  #join(awaited: Awaited | undefined): Promise<ServerStatus> {
    if (this.#ended) return Promise.reject(new Error('the pool has ended'))
    // Whoever asks meanwhile gets the same answer, and what is seen is for all: it runs in nobody's context.
    this.#probing ??= inNoContext(() => this.#probeNow(awaited)).finally(() => {
      this.#probing = undefined
      this.#closeWhenIdle()
    })
    return this.#probing
  }

  /** Looks no more. Settles when the connection is closed. */
  async end(): Promise<void> {
    this.#ended = true
    if (this.#idleTimer !== undefined) this.#clock.clearTimer(this.#idleTimer)
    await this.#probing?.catch(() => undefined) // reported to whoever asked
    await this.#close()
  }

  async #probeNow(awaited: Awaited | undefined): Promise<ServerStatus> {
    this.#askedAt = this.#clock.now()
    const timeoutMs = boundMs + (awaited?.ms ?? 0)
    const deadline = Deadline.after(timeoutMs, this.#clock)
    try {
      const probe = await this.#connected(deadline)
      if (awaited !== undefined) {
        await probe.waitForReplay(awaited.lsn, awaited.ms, deadline)
        this.#askedAt = this.#clock.now()
      }
      const status = await probe.probe(deadline, this.#askedAt)
      this.#onSeen(status)
      return status
    } catch (error) {
      this.#connection?.terminate()
      this.#connection = undefined
      this.#onFailed(error)
      throw error
    }
  }

  async #connected(deadline: Deadline): Promise<StatusProbe> {
    if (this.#connection?.isAlive === true && this.#probe !== undefined) return this.#probe
    const attempt = new AbortController()
    const opening = this.#counted(this.#open(attempt.signal))
    try {
      this.#connection = await deadline.within(opening)
      // What the server can do is found out anew: it may have been replaced by another version.
      this.#probe = new StatusProbe(this.#connection)
      return this.#probe
    } catch (error) {
      attempt.abort()
      // One that opens after all is of no use any more; a failure has been reported.
      opening.then(
        (late) => late.terminate(),
        () => undefined,
      )
      throw error
    }
  }

  #counted(opening: Promise<Connection>): Promise<Connection> {
    const gone = (): void => {
      this.#sessions -= 1
    }
    this.#sessions += 1
    opening.then((connection) => connection.client.once('end', gone), gone)
    return opening
  }

  #closeWhenIdle(): void {
    if (this.#idleTimer !== undefined || this.#ended) return
    this.#idleTimer = this.#clock.setTimer(
      idleMs,
      () => {
        this.#idleTimer = undefined
        if (this.#probing !== undefined || this.#clock.now() - this.#askedAt < idleMs) this.#closeWhenIdle()
        else void this.#close()
      },
      true,
    )
  }

  async #close(): Promise<void> {
    const connection = this.#connection
    this.#connection = undefined
    await connection?.close()
  }
}
