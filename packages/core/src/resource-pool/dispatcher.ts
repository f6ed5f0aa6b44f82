import type { Clock, Timer } from '../deadline/clock.js'
import { inNoContext } from '../observe/context.js'
import type { BudgetMember, BudgetShare } from './budget.js'
import type { Lifecycle } from './lifecycle.js'
import type { PoolSize, ResolvedPoolLimits } from './limits.js'
import type { Opener } from './opener.js'
import type { PoolCounts, Slot } from './resource.js'
import type { Slots } from './slots.js'
import type { WaiterList, WaitQueue } from './wait-queue.js'

/** How often idle connections are checked for those that are too old, at least. */
const mostMs = 1_000

/**
 * Closes idle resources that are too old, or have idled for too long above `min`. No timer is left while none idles, and
 * it keeps no process alive.
 */
class Maintenance<R> {
  readonly #slots: Slots<R>
  readonly #clock: Clock
  readonly #idleTimeoutMs: number
  readonly #min: () => number
  readonly #done: () => void
  #timer: Timer | undefined

  constructor(slots: Slots<R>, clock: Clock, idleTimeoutMs: number, min: () => number, done: () => void) {
    this.#slots = slots
    this.#clock = clock
    this.#idleTimeoutMs = idleTimeoutMs
    this.#min = min
    this.#done = done
  }

  /** To be called after any change. */
  schedule(): void {
    if (this.#timer !== undefined || this.#slots.idle.length === 0) return
    this.#timer = this.#clock.setTimer(
      this.#pauseMs(),
      () => {
        this.#timer = undefined
        this.#maintain()
      },
      true,
    )
  }

  /** Until the one that has idled for longest has done so for too long: those after it are younger. */
  #pauseMs(): number {
    const pauseMs = Math.min(mostMs, Math.max(1, this.#idleTimeoutMs))
    const { oldest } = this.#slots.idle
    const leftMs = oldest === undefined ? 0 : oldest.idleSince + this.#idleTimeoutMs - this.#clock.now()
    // What is kept for `min` is past its time, and needs no timer.
    return leftMs > 0 ? Math.min(pauseMs, Math.max(1, Math.ceil(leftMs))) : pauseMs
  }

  /** The pool has ended. */
  stop(): void {
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer)
    this.#timer = undefined
  }

  #maintain(): void {
    const { active, checking } = this.#slots
    const min = this.#min()
    const old = this.#slots.idle.sweep(
      (slot) => this.#slots.isFresh(slot),
      this.#clock.now() - this.#idleTimeoutMs,
      (fresh) => active + checking + fresh - min,
    )
    for (const slot of old) this.#slots.close(slot)
    this.#done()
  }
}

/** The parts of a pool. */
export interface PoolParts<R> {
  readonly clock: Clock
  readonly counts: PoolCounts
  readonly waiters: WaiterList<R>
  readonly opener: Opener<R>
  readonly slots: Slots<R>
  readonly queue: WaitQueue<R>
  readonly lifecycle: Lifecycle<R>
}

/**
 * Decides who gets what. Every change of what is idle, open or waited for ends in `dispatch`, which alone matches callers,
 * idle resources and free places.
 */
export class Dispatcher<R> {
  #min: number
  readonly #clock: Clock
  readonly #counts: PoolCounts
  readonly #waiters: WaiterList<R>
  readonly #opener: Opener<R>
  readonly #slots: Slots<R>
  readonly #queue: WaitQueue<R>
  readonly #lifecycle: Lifecycle<R>
  readonly #maintenance: Maintenance<R>
  /** Its share of a budget with other pools; undefined without one. */
  readonly #member: BudgetMember | undefined

  constructor(
    parts: PoolParts<R>,
    { min, idleTimeoutMs }: Pick<ResolvedPoolLimits, 'min' | 'idleTimeoutMs'>,
    share: BudgetShare | undefined,
  ) {
    const changed = (): void => this.dispatch()
    this.#min = min
    this.#clock = parts.clock
    this.#counts = parts.counts
    this.#waiters = parts.waiters
    this.#opener = parts.opener
    this.#slots = parts.slots
    this.#queue = parts.queue
    this.#lifecycle = parts.lifecycle
    this.#maintenance = new Maintenance(parts.slots, parts.clock, idleTimeoutMs, () => this.#min, changed)
    this.#member = share?.budget.join({
      database: share.database,
      user: share.user,
      min: () => (this.#lifecycle.isOpen ? this.#min : 0),
      idleSince: () => this.#slots.idle.oldest?.idleSince,
      yieldIdle: () => void this.#slots.closeOldest(),
      again: changed,
    })
  }

  /** Resources kept open although nobody uses them. */
  get min(): number {
    return this.#min
  }

  /** Callers that may be served: all, but in a pause only those whose work holds a connection already. */
  get #entitled(): number {
    return this.#lifecycle.isPaused ? this.#waiters.countHolding() : this.#waiters.length
  }

  /** Callers for whom no connection is being opened or checked. */
  get queued(): number {
    return this.#entitled - this.#slots.checking - this.#opener.opening
  }

  /** Connections above `max`, after it was made smaller. */
  get surplus(): number {
    return this.#slots.total - this.#slots.closing + this.#opener.opening - this.#opener.max
  }

  /** Whether one more caller would be given an idle connection or a new one, without waiting in the queue. */
  get canServe(): boolean {
    if (this.#lifecycle.isPaused) return false
    if (this.#slots.idle.length > 0) return true
    const hasPlace = this.#slots.total + this.#opener.opening < this.#opener.max
    return hasPlace && this.#opener.mayOpen
  }

  /** Whether a slot that is in use may serve one more that shares it. */
  mayJoin(slot: Slot<R>): boolean {
    return slot.state === 'busy' && !this.#lifecycle.isPaused && this.surplus === 0 && this.#slots.isFresh(slot)
  }

  /**
   * Gives a slot that is in use to those at the head of the queue who share, `most` at most; stops at the first that
   * does not, so that nobody is overtaken. Returns how many have got it.
   */
  joinSharing(slot: Slot<R>, most: number): number {
    if (this.#waiters.first?.isSharing !== true) return 0
    return inNoContext(() => this.#joinSharing(slot, most))
  }

  #joinSharing(slot: Slot<R>, most: number): number {
    let joined = 0
    while (joined < most && this.#waiters.first?.isSharing === true && this.mayJoin(slot)) {
      const waiter = this.#waiters.shift()
      if (waiter === undefined) break
      waiter.stop()
      joined += 1
      const now = this.#clock.now()
      this.#slots.join(slot, now - waiter.since)
      this.#queue.served(waiter, now)
      waiter.resolve(slot)
    }
    if (joined > 0) this.dispatch()
    return joined
  }

  /** Changes how many there may and should be; those above the new maximum are closed as they are released. */
  resize({ max = this.#opener.max, min = this.#min }: PoolSize): void {
    this.#member?.assertRoom(min)
    this.#min = min
    this.#opener.max = max
    this.#member?.minLowered()
    while (this.surplus > 0 && this.#slots.closeOldest());
    this.dispatch()
  }

  /** The one place that matches callers, idle connections and free places. Idempotent: call it after any change. */
  dispatch(): void {
    if (this.#waiters.length > 0) this.#match()
    this.#open()
    this.#queue.schedule()
    if (this.#lifecycle.isOpen) this.#maintenance.schedule()
    this.#lifecycle.settle()
  }

  #match(): void {
    const slots = this.#slots
    this.#queue.shed()
    while (this.#entitled > slots.checking) {
      const slot = slots.idle.pop()
      if (slot === undefined) break
      if (!slots.isFresh(slot)) slots.close(slot)
      else if (slots.needsCheck(slot)) slots.check(slot)
      else inNoContext(() => this.#serve(slot))
    }
  }

  /** Called in no context: what the caller does with it at once must not run in the context of whoever released it. */
  #serve(slot: Slot<R>): void {
    const waiter = this.#lifecycle.isPaused ? this.#waiters.shiftHolding() : this.#waiters.shift()
    if (waiter === undefined) throw new Error('bug: a connection was to be served to an empty queue')
    waiter.stop()
    this.#slots.handOut(slot, waiter.stack, waiter.since)
    this.#queue.served(waiter, slot.busySince)
    // Last: the caller may use it, and release it, in this very call.
    waiter.resolve(slot)
  }

  /**
   * Offers a connection that has just been opened, validated or released to the first in the queue; when nobody waits it
   * becomes idle. One that must not be used again is closed.
   */
  offer(slot: Slot<R>): void {
    const slots = this.#slots
    slot.state = 'idle'
    slot.idleSince = this.#clock.now()
    if (this.#waiters.length > 0) this.#queue.shed()
    const isAwaited = this.#entitled > 0
    if (!slots.isFresh(slot) || this.surplus > 0 || this.#member?.mustYield(isAwaited) === true) slots.close(slot)
    else if (isAwaited) inNoContext(() => this.#serve(slot))
    else slots.idle.push(slot)
    this.dispatch()
  }

  /** Opens as many connections as callers and `min` need and the gate allows. */
  #open(): void {
    for (;;) {
      const places = this.#slots.total + this.#opener.opening
      const isMinWanted = this.#lifecycle.isServing && !this.#opener.failedPermanently
      const forMin = isMinWanted ? this.#min - places : 0
      if (places >= this.#opener.max || (this.queued <= 0 && forMin <= 0)) {
        this.#member?.stopWaiting()
        return
      }
      // While it may not open, other pools may: it must not wait ahead of them.
      if (!this.#opener.mayOpen) this.#member?.stopWaiting()
      else if (this.#member?.tryAcquire() === false) return
      if (!this.#opener.tryOpen(this.#waiters.length === 0, this.#slots.generation)) return
    }
  }

  /** One could not be opened. */
  openFailed(error: unknown): void {
    this.#counts.connectFailed += 1
    this.#member?.release()
    this.#queue.restart()
    if (this.#opener.failedPermanently) this.#queue.rejectAll(() => error as Error)
    else if (this.#opener.failedForOne) this.#queue.rejectFirst(error as Error)
    this.dispatch()
  }

  /** One was closed, and its place is free. */
  slotClosed(): void {
    this.#member?.release()
    this.dispatch()
  }

  /** The pool has ended, and every connection is closed. */
  stop(): void {
    this.#opener.stop()
    this.#member?.leave()
    this.#maintenance.stop()
  }
}
