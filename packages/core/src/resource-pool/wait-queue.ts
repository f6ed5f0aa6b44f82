import type { Clock, Timer } from '../deadline/clock.js'
import { type Deadline, type GivenUpReason, givenUp } from '../deadline/deadline.js'
import {
  AcquireTimeoutError,
  type HolderFigures,
  OverloadedError,
  type PoolFigures,
  QueueFullError,
  SelfDeadlockError,
  ServerUnavailableError,
} from '../errors/pool-errors.js'
import { noop } from '../observe/noop.js'
import { Codel } from '../resilience/codel.js'
import type { ResolvedPoolLimits } from './limits.js'
import type { Opener } from './opener.js'
import type { PoolEnvironment, ResourceFactory, Slot } from './resource.js'
import type { Slots } from './slots.js'

/** A piece of work that holds connections and may ask for another: a transaction, or a lock. */
export interface WorkContext {
  /** Connections of this pool that it holds itself now. */
  held: number
  /** A connection that it holds together with others: counted once, however many they are. */
  shared?: object | undefined
  /** The work around it, which cannot release anything before this is done. */
  readonly parent?: WorkContext | undefined
  /** Must go on waiting for as long as it can, whatever is known of the server: the proof of a commit. */
  readonly isUrgent?: boolean
}

/** Goes on waiting where others are rejected: for what must be found out, such as the outcome of a COMMIT. */
export const urgent: WorkContext = Object.freeze({ held: 0, isUrgent: true })

/** How many connections this work and the work around it hold. */
export function connectionsHeldBy(holder: WorkContext | undefined): number {
  let held = 0
  const shared = new Set<object>()
  for (let one = holder; one !== undefined; one = one.parent) {
    held += one.held
    if (one.shared !== undefined) shared.add(one.shared)
  }
  return held + shared.size
}

/** One caller in the queue. Settled exactly once; `stop` removes its timer and its abort listener. */
export interface Waiter<R> {
  readonly resolve: (slot: Slot<R>) => void
  readonly reject: (error: Error) => void
  readonly since: number
  readonly holder: WorkContext | undefined
  readonly stack: string | undefined
  /** Whether it can use a resource together with others of its kind. */
  readonly isSharing: boolean
  stop: () => void
}

/**
 * First come, first served. A `Set` keeps the order of arrival, and a waiter that gives up is removed from the middle at
 * no cost.
 */
export class WaiterList<R> {
  readonly #waiters = new Set<Waiter<R>>()

  get length(): number {
    return this.#waiters.size
  }

  /** The caller that has waited longest, or undefined. */
  get first(): Waiter<R> | undefined {
    return this.#waiters.values().next().value
  }

  add(waiter: Waiter<R>): void {
    this.#waiters.add(waiter)
  }

  /** Removes a waiter; false when it was not there any more. */
  remove(waiter: Waiter<R>): boolean {
    return this.#waiters.delete(waiter)
  }

  /** Removes the longest waiting one. */
  shift(): Waiter<R> | undefined {
    const first = this.first
    if (first !== undefined) this.#waiters.delete(first)
    return first
  }

  /** How many of them do work that holds a connection already. */
  countHolding(): number {
    let count = 0
    for (const { holder } of this.#waiters) if (connectionsHeldBy(holder) > 0) count += 1
    return count
  }

  /** Removes the longest waiting one of these. */
  shiftHolding(): Waiter<R> | undefined {
    for (const waiter of this.#waiters) {
      if (connectionsHeldBy(waiter.holder) > 0) {
        this.#waiters.delete(waiter)
        return waiter
      }
    }
    return undefined
  }

  /** How many connections are held by work that waits here, with one more that is about to, and by the work around it. */
  heldByWaiting(joining: WorkContext): number {
    const waiting = new Set<WorkContext>()
    const add = (holder: WorkContext | undefined): void => {
      for (let one = holder; one !== undefined; one = one.parent) waiting.add(one)
    }
    add(joining)
    for (const { holder } of this.#waiters) add(holder)
    let held = 0
    const shared = new Set<object>()
    for (const holder of waiting) {
      held += holder.held
      if (holder.shared !== undefined) shared.add(holder.shared)
    }
    return held + shared.size
  }

  [Symbol.iterator](): IterableIterator<Waiter<R>> {
    return this.#waiters.values()
  }
}

/** How many holders an error names: the rest is in `pool.active()`. */
const mostHolders = 3

/** Why a caller gets no connection, as the error that it gets. */
export class Refusals<R> {
  readonly #factory: ResourceFactory<R>
  readonly #poolName: string | undefined
  readonly #clock: Clock
  readonly #slots: Slots<R>
  readonly #waiters: WaiterList<R>
  readonly #opener: Opener<R>

  constructor(
    factory: ResourceFactory<R>,
    { clock, poolName }: PoolEnvironment,
    slots: Slots<R>,
    waiters: WaiterList<R>,
    opener: Opener<R>,
  ) {
    this.#factory = factory
    this.#poolName = poolName
    this.#clock = clock
    this.#slots = slots
    this.#waiters = waiters
    this.#opener = opener
  }

  /** The state of the pool in numbers. */
  figures(): PoolFigures {
    const longest = this.#slots.longestHeld
    return {
      active: this.#slots.active,
      idle: this.#slots.idle.length,
      connecting: this.#opener.opening,
      max: this.#opener.max,
      waiting: this.#waiters.length,
      longestHeldMs: longest === undefined ? 0 : this.#clock.now() - longest.busySince,
      longestHolderStack: longest?.acquireStack,
    }
  }

  /** As many wait already as may. */
  full(maxWaiting: number): Error {
    return new QueueFullError(maxWaiting, this.figures())
  }

  /** Everything is held by work that waits for more of it, with this one; undefined when that is not so. */
  selfDeadlock(holder: WorkContext | undefined): Error | undefined {
    const held = connectionsHeldBy(holder)
    if (holder === undefined || held === 0 || this.#waiters.heldByWaiting(holder) < this.#opener.max) return undefined
    return new SelfDeadlockError(held, this.figures())
  }

  /** It gave up, the server is down, or the pool is busy. These are three things. */
  givenUp(reason: GivenUpReason, { since, holder }: Waiter<R>): Error {
    if (reason.kind === 'aborted') return givenUp(reason, 'not-sent')
    const waited = this.#clock.now() - since
    const { lastError, failuresInARow, isWaitingForServer } = this.#opener
    const { active, idle, checking } = this.#slots
    // Not one connection is open, and the server has refused one or has not answered yet: the pool is not what is busy.
    if (isWaitingForServer && active + idle.length + checking === 0) {
      return new ServerUnavailableError(this.#factory.address, waited, failuresInARow, this.figures(), {
        cause: lastError ?? new Error('timeout, no answer yet'),
      })
    }
    const heldByCaller = connectionsHeldBy(holder)
    return new AcquireTimeoutError(waited, this.figures(), {
      heldByCaller,
      poolName: this.#poolName,
      holders: this.#holders(),
      ...(lastError === undefined ? {} : { cause: lastError }),
    })
  }

  /** Those who hold one for longest. */
  #holders(): HolderFigures[] {
    const now = this.#clock.now()
    const busy = [...this.#slots.busy()].sort((one, other) => one.busySince - other.busySince)
    return busy.slice(0, mostHolders).flatMap(({ resource, busySince }) => {
      const used = this.#factory.describe?.(resource)
      return used === undefined ? [] : [{ heldMs: now - busySince, ...used }]
    })
  }

  /** It has waited for too long while the pool is overloaded. */
  shed(waitedMs: number, figures: PoolFigures): Error {
    return new OverloadedError(waitedMs, figures)
  }
}

/** What the queue needs of its pool. */
export interface WaitQueueEvents {
  /** Whether it is held up by something other than load: a pause, or a server that is down. */
  readonly isHeldUp: () => boolean
  /** A caller was removed from it. */
  readonly changed: () => void
}

/**
 * The queue of callers that wait, and how one ends without a connection: its time is up, or it has waited for too long
 * while the pool is overloaded.
 */
export class WaitQueue<R> {
  readonly #waiters: WaiterList<R>
  readonly #refusals: Refusals<R>
  readonly #clock: Clock
  readonly #acquireTimeoutMs: number
  readonly #events: WaitQueueEvents
  readonly #overload: Codel | undefined
  #timer: Timer | undefined

  constructor(
    waiters: WaiterList<R>,
    refusals: Refusals<R>,
    clock: Clock,
    { acquireTimeoutMs, overload }: Pick<ResolvedPoolLimits, 'acquireTimeoutMs' | 'overload'>,
    events: WaitQueueEvents,
  ) {
    this.#waiters = waiters
    this.#refusals = refusals
    this.#clock = clock
    this.#acquireTimeoutMs = acquireTimeoutMs
    this.#events = events
    this.#overload = overload === false ? undefined : new Codel(overload)
  }

  /** How long the first in the queue has waited, in milliseconds. */
  get longestWaitMs(): number {
    const { first } = this.#waiters
    return first === undefined ? 0 : this.#clock.now() - first.since
  }
  /** Whether callers that have waited for too long are shed now. */
  get isOverloaded(): boolean {
    return this.#waiters.length > 0 && this.#overload?.isSlow === true
  }

  /** Adds a caller. */
  add(
    resolve: (slot: Slot<R>) => void,
    reject: (error: Error) => void,
    deadline: Deadline,
    holder: WorkContext | undefined,
    isSharing: boolean,
    stack: string | undefined,
  ): void {
    const since = this.#clock.now()
    const waiter: Waiter<R> = { resolve, reject, since, holder, stack, isSharing, stop: noop }
    // Bounds of its own are watched for it alone; the pool's, which most callers have only, by one timer for all.
    if (deadline.signal !== undefined || deadline.at <= since + this.#acquireTimeoutMs) {
      waiter.stop = deadline.watch((reason) => {
        if (this.#waiters.remove(waiter)) this.#giveUp(waiter, reason)
        this.#events.changed()
      })
    }
    if (this.#waiters.length === 0) this.#overload?.formed(since)
    this.#overload?.arrived(Math.min(deadline.at - since, this.#acquireTimeoutMs))
    this.#waiters.add(waiter)
  }

  /** One was removed from the queue to be given a connection now. */
  served(waiter: Waiter<R>, now: number): void {
    this.#overload?.served(now, now - waiter.since, this.#waiters.length, this.longestWaitMs)
  }

  /** The queue was held up by something other than load: what was seen of it says nothing. */
  restart(): void {
    this.#overload?.restart(this.#clock.now(), this.#waiters.length)
  }

  /**
   * Keeps one timer, for overload and for the first in the queue, whose time is up before that of all after it. The timer
   * is not set anew when that one is served, only when it fires: under load, a timer for every caller costs as much as a
   * tenth of a short statement. No timer is left when nobody waits.
   */
  schedule(): void {
    if (this.#timer !== undefined) {
      if (this.#waiters.length > 0) return
      this.#clock.clearTimer(this.#timer)
      this.#timer = undefined
    }
    const { first } = this.#waiters
    if (first === undefined) return
    const updateInMs = this.#overload?.periodMs ?? Number.POSITIVE_INFINITY
    const inMs = Math.min(first.since + this.#acquireTimeoutMs - this.#clock.now(), updateInMs)
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
      this.#updateOverload(now)
      this.#events.changed()
    })
  }

  /**
   * While the pool is overloaded, sheds those at the head of the queue who have waited for too long. Not those whose work
   * holds a connection: that work would be lost, and the connection is needed.
   */
  shed(): void {
    const overload = this.#overload
    if (overload?.isSlow !== true) return
    const now = this.#clock.now()
    let figures: PoolFigures | undefined
    for (const waiter of this.#waiters) {
      const waited = now - waiter.since
      if (waited <= overload.boundMs) break
      if (connectionsHeldBy(waiter.holder) > 0) continue
      figures ??= this.#refusals.figures()
      this.#waiters.remove(waiter)
      waiter.stop()
      overload.shed(now)
      waiter.reject(this.#refusals.shed(waited, figures))
    }
  }

  /** Rejects everybody who is not urgent, each with an error of its own. */
  rejectUnlessUrgent(refusal: () => Error): void {
    for (const waiter of [...this.#waiters]) {
      if (waiter.holder?.isUrgent === true) continue
      this.#waiters.remove(waiter)
      waiter.stop()
      this.#overload?.gaveUp()
      waiter.reject(refusal())
    }
  }

  /** Rejects the first. */
  rejectFirst(error: Error): void {
    const waiter = this.#waiters.shift()
    waiter?.stop()
    waiter?.reject(error)
  }

  /** Rejects everybody, each with an error of its own. */
  rejectAll(because: () => Error): void {
    for (;;) {
      const waiter = this.#waiters.shift()
      if (waiter === undefined) return
      waiter.stop()
      waiter.reject(because())
    }
  }

  #giveUp(waiter: Waiter<R>, reason: GivenUpReason): void {
    this.#overload?.gaveUp()
    waiter.reject(this.#refusals.givenUp(reason, waiter))
  }

  /** A server that is down, and a pause, are no overload: callers then wait for as long as they want to. */
  #updateOverload(now: number): void {
    const { length } = this.#waiters
    if (this.#overload === undefined || length === 0) return
    if (this.#events.isHeldUp()) this.#overload.restart(now, length)
    else this.#overload.update(now, length, this.longestWaitMs)
  }
}
