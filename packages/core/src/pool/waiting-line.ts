import type { Clock, Timer } from '../base/clock.js'
import { type Limit, type LimitReason, watchLimit } from '../base/limit.js'
import type { PoolFigures } from '../errors/pool-errors.js'
import { Codel } from '../policy/codel.js'
import type { ResolvedPoolLimits } from './pool-limits.js'
import type { Refusals } from './refusals.js'
import type { Slot } from './slot.js'
import { type Holder, heldAround, type Waiter } from './waiter.js'
import type { WaiterQueue } from './waiter-queue.js'

/** What the line needs of the pool that it is in front of. */
export interface WaitingLineEvents {
  /** Whether it stands for a reason that is not load: a pause, or a server that is away. */
  readonly isHeldUp: () => boolean
  /** Somebody has left it. */
  readonly changed: () => void
}

/**
 * Callers that wait, and how one leaves the line without a connection: its time is up, or it has waited for too long
 * while the pool is overloaded.
 */
export class WaitingLine<R> {
  readonly #waiters: WaiterQueue<R>
  readonly #refusals: Refusals<R>
  readonly #clock: Clock
  readonly #acquireTimeoutMs: number
  readonly #events: WaitingLineEvents
  readonly #overload: Codel | undefined
  #timer: Timer | undefined

  constructor(
    waiters: WaiterQueue<R>,
    refusals: Refusals<R>,
    clock: Clock,
    { acquireTimeoutMs, overload }: Pick<ResolvedPoolLimits, 'acquireTimeoutMs' | 'overload'>,
    events: WaitingLineEvents,
  ) {
    this.#waiters = waiters
    this.#refusals = refusals
    this.#clock = clock
    this.#acquireTimeoutMs = acquireTimeoutMs
    this.#events = events
    this.#overload = overload === false ? undefined : new Codel(overload)
  }

  /** How long the first in the line has waited, in milliseconds. */
  get longestWaitMs(): number {
    const { first } = this.#waiters
    return first === undefined ? 0 : this.#clock.now() - first.since
  }
  /** Whether callers that have waited for too long are turned away now. */
  get isOverloaded(): boolean {
    return this.#waiters.length > 0 && this.#overload?.isSlow === true
  }

  /** Lets a caller stand in the line. */
  enter(
    resolve: (slot: Slot<R>) => void,
    reject: (error: Error) => void,
    limit: Limit,
    holder: Holder | undefined,
    isSharing: boolean,
    stack: string | undefined,
  ): void {
    const since = this.#clock.now()
    const waiter: Waiter<R> = { resolve, reject, since, holder, stack, isSharing, stop: nothing }
    // Bounds of its own are watched for it alone; the pool's, which most callers have only, by one timer for all.
    if (limit.signal !== undefined || limit.deadlineAt <= since + this.#acquireTimeoutMs) {
      waiter.stop = watchLimit(limit, this.#clock, (reason) => {
        if (this.#waiters.remove(waiter)) this.#giveUp(waiter, reason)
        this.#events.changed()
      })
    }
    if (this.#waiters.length === 0) this.#overload?.formed(since)
    this.#overload?.came(Math.min(limit.deadlineAt - since, this.#acquireTimeoutMs))
    this.#waiters.add(waiter)
  }

  /** One was taken out of the line to be given a connection now. */
  served(waiter: Waiter<R>, now: number): void {
    this.#overload?.served(now, now - waiter.since, this.#waiters.length, this.longestWaitMs)
  }

  /** The line stood for a reason that is not load: what was seen of it says nothing. */
  restart(): void {
    this.#overload?.restart(this.#clock.now(), this.#waiters.length)
  }

  /**
   * Keeps a timer on the first in the line, whose time is up before that of all behind it, and on overload. It is not
   * set anew when that one is served, only when it goes off: under load, setting a timer for every caller costs as much
   * as a tenth of a short statement. No timer is left when nobody waits.
   */
  watch(): void {
    if (this.#timer !== undefined) {
      if (this.#waiters.length > 0) return
      this.#clock.clearTimer(this.#timer)
      this.#timer = undefined
    }
    const { first } = this.#waiters
    if (first === undefined) return
    const lookInMs = this.#overload?.periodMs ?? Number.POSITIVE_INFINITY
    const inMs = Math.min(first.since + this.#acquireTimeoutMs - this.#clock.now(), lookInMs)
    if (inMs === Number.POSITIVE_INFINITY) return
    this.#timer = this.#clock.setTimer(inMs, () => {
      this.#timer = undefined
      const now = this.#clock.now()
      for (const waiter of this.#waiters) {
        if (now < waiter.since + this.#acquireTimeoutMs) break
        this.#waiters.remove(waiter)
        waiter.stop()
        this.#giveUp(waiter, { kind: 'timeout', timeoutMs: this.#acquireTimeoutMs })
      }
      this.#lookAtLoad(now)
      this.#events.changed()
    })
  }

  /**
   * While the pool is overloaded, turns away from the head of the line those who have waited for too long. Not those
   * whose work holds a connection: that would be lost with them, and the connection is needed back.
   */
  shed(): void {
    const overload = this.#overload
    if (overload?.isSlow !== true) return
    const now = this.#clock.now()
    let figures: PoolFigures | undefined
    for (const waiter of this.#waiters) {
      const waited = now - waiter.since
      if (waited <= overload.boundMs) break
      if (heldAround(waiter.holder) > 0) continue
      figures ??= this.#refusals.figures()
      this.#waiters.remove(waiter)
      waiter.stop()
      overload.turnedAway(now)
      waiter.reject(this.#refusals.shed(waited, figures))
    }
  }

  /** Sends away everybody who may be sent away, each with an error of its own. */
  turnAway(refusal: () => Error): void {
    for (const waiter of [...this.#waiters]) {
      if (waiter.holder?.isUrgent === true) continue
      this.#waiters.remove(waiter)
      waiter.stop()
      this.#overload?.gaveUp()
      waiter.reject(refusal())
    }
  }

  /** Sends the first away. */
  rejectFirst(error: Error): void {
    const waiter = this.#waiters.shift()
    waiter?.stop()
    waiter?.reject(error)
  }

  /** Sends everybody away, each with an error of its own. */
  rejectAll(because: () => Error): void {
    for (;;) {
      const waiter = this.#waiters.shift()
      if (waiter === undefined) return
      waiter.stop()
      waiter.reject(because())
    }
  }

  #giveUp(waiter: Waiter<R>, reason: LimitReason): void {
    this.#overload?.gaveUp()
    waiter.reject(this.#refusals.givenUp(reason, waiter))
  }

  /** A server that is away, and a pause, are no overload: callers then wait for as long as they want to. */
  #lookAtLoad(now: number): void {
    const { length } = this.#waiters
    if (this.#overload === undefined || length === 0) return
    if (this.#events.isHeldUp()) this.#overload.restart(now, length)
    else this.#overload.look(now, length, this.longestWaitMs)
  }
}

const nothing = (): void => undefined
