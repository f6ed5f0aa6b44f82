import type { Clock, Random, Timer } from '../deadline/clock.js'
import { ConnectGate } from '../resilience/connect-gate.js'
import type { ResourceFactory } from './resource.js'

/** What the pool does about attempts to open. */
export interface OpenerEvents<R> {
  /** One was opened; `generation` is that of the pool when the attempt began. */
  opened(resource: R, generation: number): void
  /** One could not be opened; the opener knows of it. */
  failed(error: unknown): void
  /** The pause after a failure is over: what is still wanted may be asked for again. */
  again(): void
}

interface Attempt {
  readonly generation: number
  readonly abort: AbortController
}

/**
 * Opens resources: as many at a time as the gate allows, one probe while the server is down. An attempt is not aborted
 * when the caller that wanted it gives up, only when the pool is torn down.
 */
export class Opener<R> {
  readonly #factory: ResourceFactory<R>
  readonly #clock: Clock
  readonly #gate: ConnectGate
  /** The size at which the ramp is over. */
  max: number
  readonly #events: OpenerEvents<R>
  readonly #attempts = new Set<Attempt>()
  #probeTimer: Timer | undefined
  #probesInBackground = false
  #probeAt = 0
  #failedPermanently = false
  #failedForOne = false

  constructor(factory: ResourceFactory<R>, clock: Clock, random: Random, max: number, events: OpenerEvents<R>) {
    this.#factory = factory
    this.#clock = clock
    this.#gate = new ConnectGate(random)
    this.max = max
    this.#events = events
  }

  /** Attempts under way. */
  get opening(): number {
    return this.#attempts.size
  }
  /** Failed attempts since the last one that succeeded. */
  get failuresInARow(): number {
    return this.#gate.failuresInARow
  }
  /** The error of the last attempt; undefined when it succeeded. */
  get lastError(): unknown {
    return this.#gate.lastError
  }
  /** Whether the server has refused, or has not answered yet: nothing can be said to be open because of it. */
  get isWaitingForServer(): boolean {
    return this.#gate.isDown || this.#attempts.size > 0
  }
  /** The server has refused, and has not answered since. */
  get isDown(): boolean {
    return this.#gate.isDown
  }
  /** Whether the last attempt failed for a permanent reason: then only a caller causes another one, not `min`. */
  get failedPermanently(): boolean {
    return this.#failedPermanently
  }
  /** Whether the last attempt failed for a reason that is about that one resource alone. */
  get failedForOne(): boolean {
    return this.#failedForOne
  }
  /** Whether one more attempt could start now. */
  get mayOpen(): boolean {
    return this.#gate.ask(this.#clock.now(), this.#attempts.size).go
  }

  /** Starts one attempt if it may; else false, and `again` is called when there may be one. */
  tryOpen(inBackground: boolean, generation: number): boolean {
    const now = this.#clock.now()
    const answer = this.#gate.ask(now, this.#attempts.size)
    if (!answer.go) {
      if (answer.retryInMs !== undefined) this.#probeIn(answer.retryInMs, inBackground)
      return false
    }
    const attempt: Attempt = { generation, abort: new AbortController() }
    this.#attempts.add(attempt)
    this.#gate.started(now)
    this.#factory.open(attempt.abort.signal).then(
      (resource) => {
        this.#attempts.delete(attempt)
        this.#failedPermanently = false
        this.#gate.succeeded(this.max)
        this.#events.opened(resource, generation)
      },
      (error: unknown) => {
        this.#attempts.delete(attempt)
        this.#gate.failed(this.#clock.now(), error)
        this.#failedPermanently = this.#factory.isPermanent(error)
        this.#failedForOne = this.#factory.isRefusal?.(error) === true
        this.#events.failed(error)
      },
    )
    return true
  }

  /** Lets the next attempt begin at once, without the pause after a failure. */
  retryNow(): void {
    this.#gate.retryNow(this.#clock.now())
    this.stop()
  }

  /** Whether an attempt is under way that began in an earlier generation. */
  isOpeningBefore(generation: number): boolean {
    for (const attempt of this.#attempts) if (attempt.generation < generation) return true
    return false
  }

  /** Aborts the attempts that are under way: each fails, unless it has just succeeded. */
  abortAll(): void {
    for (const { abort } of this.#attempts) abort.abort(new Error('the pool is being torn down'))
  }

  /** Clears the timer of the next attempt. */
  stop(): void {
    if (this.#probeTimer !== undefined) this.#clock.clearTimer(this.#probeTimer)
    this.#probeTimer = undefined
  }

  #probeIn(ms: number, inBackground: boolean): void {
    const at = this.#clock.now() + ms
    if (this.#probeTimer !== undefined) {
      const isWaitedFor = this.#probesInBackground && !inBackground // set for `min` alone; now somebody waits for it
      if (this.#probeAt <= at && !isWaitedFor) return
      this.#clock.clearTimer(this.#probeTimer)
      inBackground &&= this.#probesInBackground
    }
    this.#probesInBackground = inBackground
    this.#probeAt = at
    this.#probeTimer = this.#clock.setTimer(
      ms,
      () => {
        this.#probeTimer = undefined
        this.#events.again()
      },
      inBackground,
    )
  }
}
