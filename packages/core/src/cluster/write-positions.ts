import type { Clock } from '../base/clock.js'
import type { Host } from '../host/host.js'
import type { CausalToken } from './causal-token.js'
import { positionOf, positionSql } from './sighting.js'

/** How long a position is waited for; then it counts as unknown, and reads that need it go to the primary. */
const boundMs = 5_000

/**
 * Asks the primary for its place in the log, behind writes that have been answered. The place is at or behind everything
 * committed before it was asked for, so one question serves all writes that ended before it was sent: under load one in
 * flight and one to follow, however many write.
 */
export class WritePositions {
  readonly #host: Host
  readonly #clock: Clock
  #running: Promise<CausalToken> | undefined
  #next: Promise<CausalToken> | undefined

  constructor(host: Host) {
    this.#host = host
    this.#clock = host.environment.clock
  }

  /** A place that is asked for after this call. Rejects when the primary does not tell in time. */
  next(): Promise<CausalToken> {
    if (this.#running === undefined) return this.#start()
    this.#next ??= this.#running.then(this.#follow, this.#follow)
    return this.#next
  }

  readonly #follow = (): Promise<CausalToken> => {
    this.#next = undefined
    return this.#start()
  }

  #start(): Promise<CausalToken> {
    const running = this.#ask()
    this.#running = running
    const done = (): void => {
      if (this.#running === running) this.#running = undefined
    }
    running.then(done, done)
    return running
  }

  async #ask(): Promise<CausalToken> {
    const limit = { deadlineAt: this.#clock.now() + boundMs, timeoutMs: boundMs, signal: undefined }
    const { rows } = await this.#host.query({ text: positionSql, rowMode: 'array' }, limit, undefined)
    return positionOf(rows[0])
  }
}
