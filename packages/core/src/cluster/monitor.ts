import type { Clock, Timer } from '../base/clock.js'
import type { Limit } from '../base/limit.js'
import { within } from '../errors/given-up.js'
import type { Connection } from '../wire/connection.js'
import { look, type Sighting } from './sighting.js'

/** How long a look may take, connecting included; a server that takes longer is as good as lost. */
const boundMs = 1_000
/** A connection that nobody has looked through for this long is closed. */
const idleMs = 10_000

/**
 * Looks at one server, through a connection of its own beside every pool: what has to be known while a pool is exhausted
 * or its server gone must not wait in that pool. One look at a time; who asks meanwhile gets the same one.
 */
export class Monitor {
  readonly #open: () => Promise<Connection>
  readonly #clock: Clock
  readonly #onSeen: (sighting: Sighting) => void
  readonly #onFailed: (error: unknown) => void
  #connection: Connection | undefined
  #looking: Promise<Sighting> | undefined
  #idleTimer: Timer | undefined
  #askedAt = Number.NEGATIVE_INFINITY
  #ended = false

  constructor(
    open: () => Promise<Connection>,
    clock: Clock,
    onSeen: (sighting: Sighting) => void,
    onFailed: (error: unknown) => void,
  ) {
    this.#open = open
    this.#clock = clock
    this.#onSeen = onSeen
    this.#onFailed = onFailed
  }

  /** When the last look began; -Infinity before the first. */
  get askedAt(): number {
    return this.#askedAt
  }

  /** Whether a look is under way. */
  get isLooking(): boolean {
    return this.#looking !== undefined
  }

  /** Looks now, or joins the look that is under way; rejects when the server does not answer in time. */
  look(): Promise<Sighting> {
    if (this.#ended) return Promise.reject(new Error('the pool has ended'))
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined
      this.#closeWhenIdle()
    })
    return this.#looking
  }

  /** Looks no more. Settles when the connection is closed. */
  async end(): Promise<void> {
    this.#ended = true
    if (this.#idleTimer !== undefined) this.#clock.clearTimer(this.#idleTimer)
    await this.#looking?.catch(() => undefined) // whoever asked has been told
    await this.#close()
  }

  async #look(): Promise<Sighting> {
    const askedAt = this.#clock.now()
    this.#askedAt = askedAt
    const limit: Limit = { deadlineAt: askedAt + boundMs, timeoutMs: boundMs, signal: undefined }
    try {
      const connection = await this.#connected(limit)
      const sighting = await look(connection, limit, askedAt)
      this.#onSeen(sighting)
      return sighting
    } catch (error) {
      this.#connection?.destroy()
      this.#connection = undefined
      this.#onFailed(error)
      throw error
    }
  }

  async #connected(limit: Limit): Promise<Connection> {
    if (this.#connection?.isAlive === true) return this.#connection
    const opening = this.#open()
    try {
      this.#connection = await within(opening, limit, this.#clock)
      return this.#connection
    } catch (error) {
      // One that opens after all has nobody to look through it any more; a failure has been told.
      opening.then(
        (late) => late.destroy(),
        () => undefined,
      )
      throw error
    }
  }

  #closeWhenIdle(): void {
    if (this.#idleTimer !== undefined || this.#ended) return
    this.#idleTimer = this.#clock.setTimer(
      idleMs,
      () => {
        this.#idleTimer = undefined
        if (this.#looking !== undefined || this.#clock.now() - this.#askedAt < idleMs) this.#closeWhenIdle()
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
