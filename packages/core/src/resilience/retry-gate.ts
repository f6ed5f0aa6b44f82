import type { Clock, Timer } from '../deadline/clock.js'
import type { Deadline, GivenUpReason } from '../deadline/deadline.js'

/** What became of work that was run again: done, undone by another conflict, or neither. */
export type TurnOutcome = 'succeeded' | 'conflict' | 'other'

/** The turn of one piece of work. Its holder ends it, once, when the attempt is over. */
export interface Turn {
  readonly kind: 'turn'
  left(outcome: TurnOutcome): void
}

/** The gate at one moment. */
export interface RetryGateStats {
  /** How many retries may run at the same time; `1` when many fight for the same rows. */
  readonly width: number
  /**
   * How many run, without those that have taken much longer than usual. May be more than `width` for a while after a
   * conflict.
   */
  readonly running: number
  /** How many wait for their turn. */
  readonly waiting: number
}

interface Stay {
  readonly since: number
}

/** After so long without a retry, what was learned of the contention is out of date. */
const quietMs = 1_000
/** Successes that widen the gate by one, for each that may run: a hot row then costs one conflict in a few successes. */
const successesPerStep = 2
/** A turn passes on after so many times what one usually takes. */
const leaseTimes = 4
const shortestLeaseMs = 50
const longestLeaseMs = 2_000
/** So often a lease is halved at most; the shortest is then less than a millisecond. */
const mostStalls = 12
/** What a turn is taken to last before one has ended. */
const firstGuessMs = 25
/** What turns usually take follows a longer one at once, and shorter ones by this part of the difference. */
const forgetting = 1 / 8
/** Of longer ones no more is learned than makes the longest lease. */
const longestUsualMs = longestLeaseMs / leaseTimes

/**
 * Lets work that failed with a conflict take turns, first come, first served. How many run at the same time follows what
 * becomes of them, as TCP's window does (https://www.rfc-editor.org/rfc/rfc5681): one more with each success until the
 * first conflict; half as many with each conflict; after it one more with every few successes. Work that fights for one
 * row soon runs one at a time, and work on rows of its own side by side.
 *
 * It saves attempts, and nothing depends on it: a turn that lasts for much longer than usual no longer counts. Whoever
 * has it may be slow, or wait for something that one who waits here holds. Each further turn that does not end has half
 * the time, so that all who wait are in soon where nothing gets on.
 */
export class RetryGate {
  readonly #clock: Clock
  readonly #widest: () => number
  #width = 1
  /** Below it the gate widens by one with each success. */
  #threshold = Number.POSITIVE_INFINITY
  /** The turns that count, the oldest first. */
  readonly #running = new Set<Stay>()
  /** Each is called once, with its turn. */
  readonly #waiting = new Set<(turn: Turn) => void>()
  #usualMs = firstGuessMs
  /** Turns that ran out of time since one has ended. */
  #stalls = 0
  #quietSince = Number.NEGATIVE_INFINITY
  #lease: Timer | undefined

  /** @param widest the bound of its width now: more would only wait elsewhere */
  constructor(clock: Clock, widest: () => number) {
    this.#clock = clock
    this.#widest = widest
  }

  stats(): RetryGateStats {
    return { width: this.#places, running: this.#running.size, waiting: this.#waiting.size }
  }

  /** Settles when it is the caller's turn, or with what ended the wait. */
  enter(deadline: Deadline): Promise<Turn | GivenUpReason> {
    const already = deadline.reached()
    if (already !== undefined) return Promise.resolve(already)
    this.#forgetWhenQuiet()
    if (this.#waiting.size === 0 && this.#hasPlace) return Promise.resolve(this.#begin())
    return new Promise((resolve) => {
      const onTurn = (turn: Turn): void => {
        stop()
        resolve(turn)
      }
      this.#waiting.add(onTurn)
      const stop = deadline.watch((reason) => {
        this.#waiting.delete(onTurn)
        if (this.#waiting.size === 0) this.#watchLease()
        resolve(reason)
      })
      this.#admit()
    })
  }

  get #places(): number {
    return Math.floor(Math.max(1, Math.min(this.#width, this.#widest())))
  }

  get #hasPlace(): boolean {
    return this.#running.size < this.#places
  }

  #forgetWhenQuiet(): void {
    if (this.#running.size > 0 || this.#waiting.size > 0 || this.#clock.now() - this.#quietSince < quietMs) return
    this.#width = 1
    this.#threshold = Number.POSITIVE_INFINITY
  }

  #begin(): Turn {
    const stay: Stay = { since: this.#clock.now() }
    this.#running.add(stay)
    let isOver = false
    return {
      kind: 'turn',
      left: (outcome) => {
        if (isOver) throw new Error('bug: a turn was ended twice')
        isOver = true
        this.#end(stay, outcome)
      },
    }
  }

  #end(stay: Stay, outcome: TurnOutcome): void {
    const now = this.#clock.now()
    // A place that nobody would have taken says nothing about a wider gate.
    const wasFull = this.#running.size >= this.#places
    const counted = this.#running.delete(stay)
    if (outcome === 'conflict') this.#narrow()
    else if (outcome === 'succeeded') {
      const tookMs = Math.min(longestUsualMs, now - stay.since)
      this.#usualMs = Math.max(tookMs, this.#usualMs + (tookMs - this.#usualMs) * forgetting)
      if (counted && wasFull) this.#widen()
    }
    this.#stalls = 0
    this.#quietSince = now
    this.#admit()
  }

  #widen(): void {
    const step = this.#width < this.#threshold ? 1 : 1 / (successesPerStep * this.#width)
    this.#width = Math.max(1, Math.min(this.#width + step, this.#widest()))
  }

  #narrow(): void {
    this.#width = Math.max(1, this.#width / 2)
    this.#threshold = this.#width
  }

  #admit(): void {
    for (const onTurn of this.#waiting) {
      if (!this.#hasPlace) break
      this.#waiting.delete(onTurn)
      onTurn(this.#begin())
    }
    this.#watchLease()
  }

  get #leaseMs(): number {
    return Math.max(shortestLeaseMs, leaseTimes * this.#usualMs) / 2 ** this.#stalls
  }

  /** One timer at most, for the oldest turn, and only while somebody waits. */
  #watchLease(): void {
    if (this.#lease !== undefined) this.#clock.clearTimer(this.#lease)
    this.#lease = undefined
    const [oldest] = this.#running
    if (this.#waiting.size === 0 || oldest === undefined) return
    const leftMs = oldest.since + this.#leaseMs - this.#clock.now()
    // Whole milliseconds, as timers count: a remainder below the precision of `now` would never pass.
    this.#lease = this.#clock.setTimer(Math.max(1, Math.ceil(leftMs)), () => this.#onLease())
  }

  #onLease(): void {
    this.#lease = undefined
    const now = this.#clock.now()
    const leaseMs = this.#leaseMs
    for (const stay of this.#running) {
      if (now - stay.since < leaseMs) break
      this.#running.delete(stay)
      this.#stalls = Math.min(mostStalls, this.#stalls + 1)
    }
    this.#admit()
  }
}
