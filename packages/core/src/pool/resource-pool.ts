import type { Clock, Timer } from '../base/clock.js'
import { type Limit, type LimitReason, limitReached, watchLimit } from '../base/limit.js'
import { jitter, type Random } from '../base/random.js'
import { givenUp } from '../errors/given-up.js'
import { OperationAbortedError } from '../errors/operation-errors.js'
import {
  AcquireTimeoutError,
  OverloadedError,
  PoolClosedError,
  type PoolFigures,
  QueueFullError,
  SelfDeadlockError,
  ServerUnavailableError,
} from '../errors/pool-errors.js'
import { Codel } from '../policy/codel.js'
import type { Budget, BudgetMember } from './budget.js'
import { Conditions } from './conditions.js'
import { IdleStack } from './idle-stack.js'
import { LeakDetector } from './leak-detector.js'
import { Opener } from './opener.js'
import { newPoolCounts, type PoolCounts } from './pool-counts.js'
import type { ResolvedPoolLimits } from './pool-limits.js'
import { closeReason, type PoolObserver } from './pool-observer.js'
import type { ResourceFactory } from './resource-factory.js'
import { Slot } from './slot.js'
import { type Holder, heldAround, type Waiter } from './waiter.js'
import { WaiterQueue } from './waiter-queue.js'

/** Time and chance, injected. */
export interface PoolEnvironment {
  readonly clock: Clock
  readonly random: Random
}

/** The budget that a pool shares with others, and what its connections count for there. */
export interface BudgetShare {
  readonly budget: Budget
  /** The database, with its server. */
  readonly database: string
  /** The user, with its server. */
  readonly user: string
}

/** New sizes of a pool; what is left out stays. */
export interface PoolSize {
  /** Most connections, `1` or more. */
  readonly max?: number | undefined
  /** Connections kept open although nobody uses them, `0` to `max`. */
  readonly min?: number | undefined
}

/**
 * Which connections a flush closes.
 *
 * - `'idle'`: those that nobody uses now; whoever asks next gets a new one.
 * - `'gracefully'`: every one that was opened before the call, those in use as they come back.
 * - `'all'`: every one that was opened before the call, at once: what runs on them fails.
 */
export type FlushMode = 'idle' | 'gracefully' | 'all'

/** Everything that it may be. */
export const flushModes: readonly FlushMode[] = ['idle', 'gracefully', 'all']

/** Lifetimes are spread by a tenth, so that connections opened together do not all end together. */
const lifetimeSpread = 0.1
/** How often idle connections are looked through for those that are too old. */
const maintenanceEveryMs = 1_000

/**
 * A pool of anything that is opened, used by one at a time, and closed. It knows no SQL.
 *
 * Idle resources are reused last in, first out, so that those not needed grow old and are closed; callers are served
 * first come, first served. Every way to change what is idle, open or awaited ends in `#dispatch`, which alone
 * decides who gets what.
 */
export class ResourcePool<R> {
  readonly #factory: ResourceFactory<R>
  #limits: ResolvedPoolLimits
  readonly #clock: Clock
  readonly #random: Random
  readonly #observer: PoolObserver<R>
  readonly #opener: Opener<R>
  readonly #leaks: LeakDetector<R>
  readonly #slots = new Set<Slot<R>>()
  readonly #idle = new IdleStack<R>()
  readonly #waiters = new WaiterQueue<R>()
  readonly #overload: Codel | undefined
  readonly #member: BudgetMember | undefined
  readonly #flushes = new Conditions()
  readonly #pauses = new Conditions()
  readonly #ends = new Conditions()
  readonly counts: PoolCounts = newPoolCounts()
  #active = 0
  #checking = 0
  #closing = 0
  #generation = 0
  #isPaused = false
  #maintenanceTimer: Timer | undefined
  #queueTimer: Timer | undefined
  #phase: 'open' | 'ending' | 'tearing' = 'open'

  constructor(
    factory: ResourceFactory<R>,
    limits: ResolvedPoolLimits,
    environment: PoolEnvironment,
    observer: PoolObserver<R> = {},
    share?: BudgetShare,
  ) {
    this.#factory = factory
    this.#observer = observer
    this.#limits = limits
    this.#clock = environment.clock
    this.#random = environment.random
    this.#overload = limits.overload === false ? undefined : new Codel(limits.overload)
    this.#opener = new Opener<R>(factory, environment.clock, environment.random, limits.max, {
      opened: (resource, generation) => this.#opened(resource, generation),
      failed: (error) => this.#openFailed(error),
      again: () => this.#dispatch(),
    })
    this.#member = share?.budget.join({
      database: share.database,
      user: share.user,
      min: () => (this.#phase === 'open' ? this.#limits.min : 0),
      idleSince: () => this.#idle.oldest?.idleSince,
      yieldIdle: () => {
        const oldest = this.#idle.takeOldest()
        if (oldest !== undefined) this.#retire(oldest)
      },
      again: () => this.#dispatch(),
    })
    this.#leaks = new LeakDetector(limits.leakDetectionMs, environment.clock, (report) => {
      if (!report.returned) this.counts.leaks += 1
      factory.onLeak?.(report)
    })
    this.#dispatch()
  }

  get total(): number {
    return this.#slots.size
  }
  get active(): number {
    return this.#active
  }
  get idle(): number {
    return this.#idle.length
  }
  get connecting(): number {
    return this.#opener.opening
  }
  get waiting(): number {
    return this.#waiters.length
  }
  get isEnding(): boolean {
    return this.#phase !== 'open'
  }
  get isPaused(): boolean {
    return this.#isPaused
  }
  /** Whether callers that have waited for too long are turned away now. */
  get isOverloaded(): boolean {
    return this.#waiters.length > 0 && this.#overload?.isSlow === true
  }
  get max(): number {
    return this.#limits.max
  }
  get min(): number {
    return this.#limits.min
  }
  /** How long the first in the queue has waited, in milliseconds. */
  get longestWaitMs(): number {
    const first = this.#waiters.first
    return first === undefined ? 0 : this.#clock.now() - first.since
  }

  /** A slot at once, when one is idle, fresh and nobody waits; undefined when `acquire` is needed. */
  tryAcquire(): Slot<R> | undefined {
    if (this.#phase !== 'open' || this.#isPaused || this.#waiters.length > 0) return undefined
    const slot = this.#idle.top
    if (slot === undefined || !this.#isFresh(slot) || this.#needsCheck(slot)) return undefined
    this.#idle.pop()
    return this.#handOut(slot, this.#leaks.capture())
  }

  /**
   * A slot, now or when one comes free.
   *
   * @throws AcquireTimeoutError, ServerUnavailableError, QueueFullError, OverloadedError, SelfDeadlockError,
   * PoolClosedError, OperationAbortedError, or what the server said when it will never let this user in.
   */
  acquire(limit: Limit, holder?: Holder): Promise<Slot<R>> {
    return new Promise((resolve, reject) => this.request(resolve, reject, limit, holder))
  }

  /**
   * The same for callers that take their slot in the same turn in which it is given.
   *
   * @param isSharing whether it may also be given a slot that others of its kind use, through `joinSharing`
   */
  request(
    resolve: (slot: Slot<R>) => void,
    reject: (error: Error) => void,
    limit: Limit,
    holder: Holder | undefined,
    isSharing = false,
  ): void {
    const refusal = this.#refusalAtOnce(limit, holder)
    if (refusal !== undefined) {
      reject(refusal)
      return
    }
    const slot = this.tryAcquire()
    if (slot !== undefined) {
      resolve(slot)
      return
    }
    if (this.#queued() >= this.#limits.maxWaiting && !this.#canServe()) {
      this.counts.turnedAway += 1
      reject(new QueueFullError(this.#limits.maxWaiting, this.figures()))
      return
    }
    const held = heldAround(holder)
    if (holder !== undefined && held > 0 && this.#waiters.heldByWaiting(holder) >= this.#limits.max) {
      reject(new SelfDeadlockError(held, this.figures()))
      return
    }
    this.#enqueue(resolve, reject, limit, holder, isSharing)
  }

  #refusalAtOnce(limit: Limit, holder: Holder | undefined): Error | undefined {
    // Work that has begun is finished also while the pool ends: what it holds would come back no sooner otherwise.
    if (this.#phase === 'tearing' || (this.#phase === 'ending' && heldAround(holder) === 0)) {
      return new PoolClosedError('cannot acquire a connection')
    }
    const reached = limitReached(limit, this.#clock)
    return reached === undefined ? undefined : givenUp(reached, 'not-sent')
  }

  /** Whether every resource is in use, none may be opened, and nobody waits: who shares may then do so at once. */
  get isSaturated(): boolean {
    return this.#phase === 'open' && !this.#isPaused && this.#waiters.length === 0 && !this.#canServe()
  }

  /** How long a slot has been in use, in milliseconds. */
  heldMs(slot: Slot<R>): number {
    return this.#clock.now() - slot.busySince
  }

  /** Whether a slot that is in use may serve one more that shares it. */
  mayJoin(slot: Slot<R>): boolean {
    return slot.state === 'busy' && !this.#isPaused && this.#surplus() === 0 && this.#isFresh(slot)
  }

  /**
   * Gives a slot that is in use to those at the head of the queue who share, `most` at most; stops at the first that
   * does not, so that nobody is overtaken. Returns how many it gave it to.
   */
  joinSharing(slot: Slot<R>, most: number): number {
    let joined = 0
    while (joined < most && this.#waiters.first?.isSharing === true && this.mayJoin(slot)) {
      const waiter = this.#waiters.shift()
      if (waiter === undefined) break
      waiter.stop()
      slot.uses += 1
      joined += 1
      const now = this.#clock.now()
      this.#observer.joined?.(slot, now - waiter.since)
      this.#overload?.served(now, now - waiter.since, this.#waiters.length, this.longestWaitMs)
      waiter.resolve(slot)
    }
    if (joined > 0) this.#dispatch()
    return joined
  }

  /** Gives a slot back for the next one to use. */
  release(slot: Slot<R>): void {
    if (!this.#takeBack(slot)) return
    this.#land(slot)
  }

  /** Gives a slot back that must not be used again: it is torn down, and its place is free when it is gone. */
  discard(slot: Slot<R>): void {
    if (!this.#takeBack(slot)) return
    this.#drop(slot)
    this.#dispatch()
  }

  /** A resource ended by itself. An idle one is dropped now; one in use when it comes back. */
  lost(resource: R): void {
    const slot = this.#idle.take(resource)
    if (slot === undefined) return
    this.#drop(slot)
    this.#dispatch()
  }

  /** Closes connections and settles when they are gone; new ones are opened as they are needed. See {@link FlushMode}. */
  flush(mode: FlushMode): Promise<void> {
    const closing = this.#idle.takeAll()
    for (const slot of closing) this.#retire(slot)
    if (mode === 'idle') {
      this.#dispatch()
      return this.#flushes.until(() => !closing.some((slot) => this.#slots.has(slot)))
    }
    this.#generation += 1
    const generation = this.#generation
    if (mode === 'all') this.#confiscateAll()
    this.#dispatch()
    return this.#flushes.until(() => !this.#hasOlder(generation))
  }

  /**
   * Gives nobody a connection until `resume`: callers wait in the queue, within their own deadlines. Only work that holds
   * a connection already gets another one, as it could not be finished otherwise. Settles when nothing is in use.
   *
   * @throws OperationAbortedError when the pool is resumed or torn down before
   */
  pause(): Promise<void> {
    if (this.#phase !== 'open') return Promise.reject(new PoolClosedError('cannot pause'))
    this.#isPaused = true
    this.#dispatch()
    return this.#pauses.until(() => this.#active + this.#checking === 0)
  }

  /** Ends a pause; whoever waits is served. */
  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#overload?.restart(this.#clock.now(), this.#waiters.length)
    this.#pauses.fail(new OperationAbortedError('cancelled', { cause: new Error('the pool was resumed') }))
    this.#dispatch()
  }

  /**
   * Changes how many connections there may and should be. Those above the new maximum are closed as they come back.
   *
   * @throws InvalidOptionError when a shared budget has no room for `min`
   */
  resize({ max = this.#limits.max, min = this.#limits.min }: PoolSize): void {
    this.#member?.keep(min)
    this.#limits = { ...this.#limits, max, min }
    this.#member?.mayYield()
    this.#opener.max = max
    while (this.#surplus() > 0) {
      const oldest = this.#idle.takeOldest()
      if (oldest === undefined) break
      this.#retire(oldest)
    }
    this.#dispatch()
  }

  /** Tries to open at once what is wanted: there is reason to believe that it can be opened again. */
  hurry(): void {
    this.#opener.hurry()
    this.#dispatch()
  }

  /**
   * Takes no new callers, serves those that already wait, also when it was paused, and settles when every connection is
   * closed. Call `endNow` to cut it short, or `cancelEnd` to go on as before.
   *
   * @throws OperationAbortedError when it was cancelled
   */
  end(): Promise<void> {
    if (this.#phase === 'open') this.#phase = 'ending'
    this.resume()
    const ended = this.#ends.until(() => this.#isQuiet())
    this.#dispatch()
    return ended
  }

  /** Goes on as if `end` had not been called; false when it is too late for that. */
  cancelEnd(): boolean {
    if (this.#phase !== 'ending' || this.#isQuiet()) return false
    this.#phase = 'open'
    this.#ends.fail(new OperationAbortedError('cancelled', { cause: new Error('the end of the pool was cancelled') }))
    this.#dispatch()
    return true
  }

  /**
   * Rejects whoever waits and tears down every connection, those in use and those being opened included: whoever holds
   * one and never gives it back does not hold up the end.
   */
  endNow(): void {
    this.#phase = 'tearing'
    this.#rejectAll(() => new PoolClosedError('gave up waiting for a connection'))
    this.resume()
    this.#confiscateAll()
    this.#opener.abandon()
    this.#dispatch()
  }

  /** Sends away everybody who waits and may be sent away, each with an error of its own. */
  turnAwayWaiting(refusal: () => Error): void {
    for (const waiter of [...this.#waiters]) {
      if (waiter.holder?.isUrgent === true) continue
      this.#waiters.remove(waiter)
      waiter.stop()
      this.#overload?.gaveUp()
      waiter.reject(refusal())
    }
    this.#dispatch()
  }

  /** The state of the pool in numbers, for errors and statistics. */
  figures(): PoolFigures {
    let longest: Slot<R> | undefined
    for (const slot of this.#slots) {
      if (slot.state === 'busy' && (longest === undefined || slot.busySince < longest.busySince)) longest = slot
    }
    return {
      active: this.#active,
      idle: this.#idle.length,
      connecting: this.#opener.opening,
      max: this.#limits.max,
      waiting: this.#waiters.length,
      longestHeldMs: longest === undefined ? 0 : this.#clock.now() - longest.busySince,
      longestHolderStack: longest?.acquireStack,
    }
  }

  #enqueue(
    resolve: (slot: Slot<R>) => void,
    reject: (error: Error) => void,
    limit: Limit,
    holder: Holder | undefined,
    isSharing: boolean,
  ): void {
    const since = this.#clock.now()
    const stack = this.#leaks.capture()
    const waiter: Waiter<R> = { resolve, reject, since, holder, stack, isSharing, stop: nothing }
    // Bounds of its own are watched for it alone; the pool's, which most callers have only, by one timer for all.
    if (limit.signal !== undefined || limit.deadlineAt <= since + this.#limits.acquireTimeoutMs) {
      waiter.stop = watchLimit(limit, this.#clock, (reason) => {
        if (this.#waiters.remove(waiter)) this.#turnAway(waiter, reason)
        this.#dispatch()
      })
    }
    if (this.#waiters.length === 0) this.#overload?.formed(since)
    this.#waiters.add(waiter)
    this.#dispatch()
  }

  /**
   * Keeps a timer on the first in the queue, whose time is up before that of all behind it, and on overload. It is not
   * set anew when that one is served, only when it goes off: under load, setting a timer for every caller costs as much
   * as a tenth of a short statement. No timer is left when nobody waits.
   */
  #watchQueue(): void {
    const { acquireTimeoutMs } = this.#limits
    if (this.#queueTimer !== undefined) {
      if (this.#waiters.length > 0) return
      this.#clock.clearTimer(this.#queueTimer)
      this.#queueTimer = undefined
    }
    const { first } = this.#waiters
    if (first === undefined) return
    const lookInMs = this.#overload?.periodMs ?? Number.POSITIVE_INFINITY
    const inMs = Math.min(first.since + acquireTimeoutMs - this.#clock.now(), lookInMs)
    if (inMs === Number.POSITIVE_INFINITY) return
    this.#queueTimer = this.#clock.setTimer(inMs, () => {
      this.#queueTimer = undefined
      const now = this.#clock.now()
      for (const waiter of this.#waiters) {
        if (now < waiter.since + acquireTimeoutMs) break
        this.#waiters.remove(waiter)
        waiter.stop()
        this.#turnAway(waiter, { kind: 'timeout', timeoutMs: acquireTimeoutMs })
      }
      this.#lookAtLoad(now)
      this.#dispatch()
    })
  }

  #turnAway(waiter: Waiter<R>, reason: LimitReason): void {
    this.#overload?.gaveUp()
    waiter.reject(this.#refusal(reason, waiter.since, waiter.holder))
  }

  /** A server that is away, and a pause, are no overload: callers then wait for as long as they want to. */
  #lookAtLoad(now: number): void {
    const { length } = this.#waiters
    if (this.#overload === undefined || length === 0) return
    if (this.#isPaused || this.#opener.isDown) this.#overload.restart(now, length)
    else this.#overload.look(now, length, this.longestWaitMs)
  }

  /**
   * Turns away, from the head of the queue, those who have waited for too long. Not those whose work holds a connection:
   * that would be lost with them, and the connection is needed back.
   */
  #shed(overload: Codel): void {
    const now = this.#clock.now()
    let figures: PoolFigures | undefined
    for (const waiter of this.#waiters) {
      const waited = now - waiter.since
      if (waited <= overload.boundMs) break
      if (heldAround(waiter.holder) > 0) continue
      figures ??= this.figures()
      this.#waiters.remove(waiter)
      waiter.stop()
      this.counts.shed += 1
      waiter.reject(new OverloadedError(waited, figures))
    }
  }

  /** Why a caller gets no connection: it gave up, the server is down, or the pool is busy. These are three things. */
  #refusal(reason: LimitReason, since: number, holder: Holder | undefined): Error {
    if (reason.kind === 'aborted') {
      this.counts.aborted += 1
      return givenUp(reason, 'not-sent')
    }
    this.counts.timedOut += 1
    const waited = this.#clock.now() - since
    const { lastError, failuresInARow, isWaitingForServer } = this.#opener
    // Not one connection is open, and the server has refused one or has not answered yet: the pool is not what is busy.
    if (isWaitingForServer && this.#active + this.#idle.length + this.#checking === 0) {
      return new ServerUnavailableError(this.#factory.where, waited, failuresInARow, this.figures(), {
        cause: lastError ?? new Error('no answer yet'),
      })
    }
    const heldByCaller = heldAround(holder)
    return new AcquireTimeoutError(waited, this.figures(), {
      heldByCaller,
      ...(lastError === undefined ? {} : { cause: lastError }),
    })
  }

  /** Callers that may be served: all, but in a pause only those whose work holds a connection already. */
  #entitled(): number {
    return this.#isPaused ? this.#waiters.countHolding() : this.#waiters.length
  }

  /** Callers for whom no connection is being opened or checked. */
  #queued(): number {
    return this.#entitled() - this.#checking - this.#opener.opening
  }

  /** Connections above `max`, after it was made smaller. */
  #surplus(): number {
    return this.#slots.size - this.#closing + this.#opener.opening - this.#limits.max
  }

  #hasOlder(generation: number): boolean {
    for (const slot of this.#slots) if (slot.generation < generation) return true
    return this.#opener.isOpeningBefore(generation)
  }

  #isQuiet(): boolean {
    return this.#slots.size + this.#opener.opening + this.#waiters.length === 0
  }

  /** Whether one more caller would be given an idle connection or a new one, and not have to stand in the queue. */
  #canServe(): boolean {
    if (this.#isPaused) return false
    if (this.#idle.length > 0) return true
    const hasPlace = this.#slots.size + this.#opener.opening < this.#limits.max
    return hasPlace && this.#opener.mayOpen
  }

  /** The one place that matches callers, idle connections and free places. Idempotent: call it after any change. */
  #dispatch(): void {
    if (this.#overload?.isSlow === true) this.#shed(this.#overload)
    while (this.#entitled() > this.#checking) {
      const slot = this.#idle.pop()
      if (slot === undefined) break
      if (!this.#isFresh(slot)) this.#retire(slot)
      else if (this.#needsCheck(slot)) this.#validate(slot)
      else this.#serve(slot)
    }
    this.#open()
    this.#watchQueue()
    this.#scheduleMaintenance()
    if (this.#phase !== 'open' && this.#waiters.length === 0) {
      for (const slot of this.#idle.takeAll()) this.#retire(slot)
      if (this.#isQuiet()) this.#becomeQuiet()
    }
    this.#flushes.look()
    this.#pauses.look()
  }

  #serve(slot: Slot<R>): void {
    const waiter = this.#isPaused ? this.#waiters.shiftHolding() : this.#waiters.shift()
    if (waiter === undefined) throw new Error('bug: a connection was to be served to an empty queue')
    waiter.stop()
    this.#handOut(slot, waiter.stack, waiter.since)
    this.#overload?.served(slot.busySince, slot.busySince - waiter.since, this.#waiters.length, this.longestWaitMs)
    // Last: whoever takes it may use it, and give it back, in this very call.
    waiter.resolve(slot)
  }

  #handOut(slot: Slot<R>, stack: string | undefined, since?: number): Slot<R> {
    slot.state = 'busy'
    slot.uses += 1
    slot.busySince = this.#clock.now()
    this.#active += 1
    this.counts.acquired += 1
    this.#leaks.acquired(slot, stack)
    this.#observer.acquired?.(slot, since === undefined ? 0 : slot.busySince - since)
    return slot
  }

  #takeBack(slot: Slot<R>): boolean {
    if (slot.state !== 'busy') return false
    this.#active -= 1
    this.counts.released += 1
    this.#leaks.released(slot)
    slot.acquireStack = undefined
    this.#observer.released?.(slot)
    return true
  }

  /** Takes every connection away from whoever holds it, and from checks. */
  #confiscateAll(): void {
    for (const slot of this.#slots) {
      if (slot.state === 'busy') {
        this.#active -= 1
        this.counts.released += 1
        this.#leaks.forget(slot)
        this.#observer.released?.(slot)
        this.#drop(slot)
      } else if (slot.state === 'checking') {
        this.#checking -= 1
        this.#drop(slot)
      }
    }
  }

  /**
   * A connection that has just been opened, checked or given back goes to the first in the queue, without a (further)
   * check, or onto the idle stack. One that must not be used any more is closed.
   */
  #land(slot: Slot<R>): void {
    slot.state = 'idle'
    slot.idleSince = this.#clock.now()
    if (this.#overload?.isSlow === true) this.#shed(this.#overload)
    const isAwaited = this.#entitled() > 0
    if (!this.#isFresh(slot) || this.#surplus() > 0 || this.#member?.mustYield(isAwaited) === true) this.#retire(slot)
    else if (isAwaited) this.#serve(slot)
    else this.#idle.push(slot)
    this.#dispatch()
  }

  #isFresh(slot: Slot<R>): boolean {
    const { maxUses } = this.#limits
    return (
      slot.generation === this.#generation &&
      (maxUses === 0 || slot.uses < maxUses) &&
      (slot.expiresAt === Number.POSITIVE_INFINITY || this.#clock.now() < slot.expiresAt) &&
      this.#factory.isAlive(slot.resource)
    )
  }

  #needsCheck(slot: Slot<R>): boolean {
    const { validateAfterIdleMs } = this.#limits
    return validateAfterIdleMs !== Number.POSITIVE_INFINITY && this.#clock.now() - slot.idleSince > validateAfterIdleMs
  }

  #validate(slot: Slot<R>): void {
    slot.state = 'checking'
    this.#checking += 1
    void this.#factory.check(slot.resource).then((alive) => {
      if (slot.state !== 'checking') return // taken away meanwhile
      this.#checking -= 1
      if (alive) this.#land(slot)
      else {
        this.counts.failedValidation += 1
        this.#drop(slot)
        this.#dispatch()
      }
    })
  }

  /** Opens as many connections as callers and `min` need and the gate allows. */
  #open(): void {
    const { max, min } = this.#limits
    for (;;) {
      const places = this.#slots.size + this.#opener.opening
      const isMinWanted = this.#phase === 'open' && !this.#isPaused && !this.#opener.isHopeless
      const forMin = isMinWanted ? min - places : 0
      if (places >= max || (this.#queued() <= 0 && forMin <= 0)) {
        this.#member?.wantsNoMore()
        return
      }
      // While it may not open, others may: it stands in no line.
      if (!this.#opener.mayOpen) this.#member?.wantsNoMore()
      else if (this.#member?.take() === false) return
      if (!this.#opener.tryOpen(this.#waiters.length === 0, this.#generation)) return
    }
  }

  #opened(resource: R, generation: number): void {
    this.counts.opened += 1
    const now = this.#clock.now()
    const { maxLifetimeMs } = this.#limits
    const lifetime =
      maxLifetimeMs === Number.POSITIVE_INFINITY ? maxLifetimeMs : jitter(maxLifetimeMs, lifetimeSpread, this.#random)
    const slot = new Slot(resource, generation, now, now + lifetime)
    this.#slots.add(slot)
    this.#land(slot)
  }

  #openFailed(error: unknown): void {
    this.counts.connectFailed += 1
    this.#member?.giveBack()
    this.#overload?.restart(this.#clock.now(), this.#waiters.length)
    if (this.#opener.isHopeless) this.#rejectAll(() => error as Error)
    this.#dispatch()
  }

  #rejectAll(because: () => Error): void {
    for (;;) {
      const waiter = this.#waiters.shift()
      if (waiter === undefined) return
      waiter.stop()
      waiter.reject(because())
    }
  }

  /** Closes politely; the place is free when the connection is gone, so that the server never sees more than `max`. */
  #retire(slot: Slot<R>): void {
    slot.state = 'closing'
    this.#tellClosing(slot, false)
    this.#closing += 1
    void this.#factory.close(slot.resource).then(() => this.#gone(slot))
  }

  /** Tears down; here too the place is free when the server has let go of it, or has had its time for that. */
  #drop(slot: Slot<R>): void {
    slot.state = 'closing'
    this.#tellClosing(slot, true)
    this.#closing += 1
    void this.#factory.destroy(slot.resource).then(() => this.#gone(slot))
  }

  #tellClosing(slot: Slot<R>, isDropped: boolean): void {
    if (this.#observer.closing === undefined) return
    const circumstances = {
      isAlive: this.#factory.isAlive(slot.resource),
      isDropped,
      isEnding: this.isEnding,
      isSurplus: this.#surplus() > 0,
      generation: this.#generation,
      maxUses: this.#limits.maxUses,
      now: this.#clock.now(),
    }
    this.#observer.closing(slot, closeReason(slot, circumstances))
  }

  #gone(slot: Slot<R>): void {
    this.#closing -= 1
    if (this.#slots.delete(slot)) this.counts.closed += 1
    this.#member?.giveBack()
    this.#dispatch()
  }

  #scheduleMaintenance(): void {
    if (this.#maintenanceTimer !== undefined || this.#idle.length === 0 || this.#phase !== 'open') return
    this.#maintenanceTimer = this.#clock.setTimer(
      maintenanceEveryMs,
      () => {
        this.#maintenanceTimer = undefined
        this.#maintain()
      },
      true,
    )
  }

  /** Closes idle connections that are too old, or idle for too long above `min`. */
  #maintain(): void {
    const { idleTimeoutMs, min } = this.#limits
    const old = this.#idle.sweep(
      (slot) => this.#isFresh(slot),
      this.#clock.now() - idleTimeoutMs,
      (fresh) => this.#active + this.#checking + fresh - min,
    )
    for (const slot of old) this.#retire(slot)
    this.#dispatch()
  }

  #becomeQuiet(): void {
    this.#opener.stop()
    this.#member?.leave()
    if (this.#maintenanceTimer !== undefined) this.#clock.clearTimer(this.#maintenanceTimer)
    this.#maintenanceTimer = undefined
    this.#ends.look()
  }
}

const nothing = (): void => undefined
