import type { Clock, Timer } from '../base/clock.js'
import { type Limit, type LimitReason, limitReached, watchLimit } from '../base/limit.js'
import { jitter, type Random } from '../base/random.js'
import { givenUp } from '../errors/given-up.js'
import {
  AcquireTimeoutError,
  PoolClosedError,
  type PoolFigures,
  QueueFullError,
  SelfDeadlockError,
  ServerUnavailableError,
} from '../errors/pool-errors.js'
import { IdleStack } from './idle-stack.js'
import { LeakDetector } from './leak-detector.js'
import { Opener } from './opener.js'
import { newPoolCounts, type PoolCounts } from './pool-counts.js'
import type { ResolvedPoolLimits } from './pool-limits.js'
import type { ResourceFactory } from './resource-factory.js'
import { Slot } from './slot.js'
import { type Holder, heldAround, type Waiter } from './waiter.js'
import { WaiterQueue } from './waiter-queue.js'

/** Time and chance, injected. */
export interface PoolEnvironment {
  readonly clock: Clock
  readonly random: Random
}

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
  readonly #limits: ResolvedPoolLimits
  readonly #clock: Clock
  readonly #random: Random
  readonly #opener: Opener<R>
  readonly #leaks: LeakDetector<R>
  readonly #slots = new Set<Slot<R>>()
  readonly #idle = new IdleStack<R>()
  readonly #waiters = new WaiterQueue<R>()
  readonly counts: PoolCounts = newPoolCounts()
  #active = 0
  #checking = 0
  #generation = 0
  #maintenanceTimer: Timer | undefined
  #queueTimer: Timer | undefined
  #ending = false
  #whenQuiet: (() => void) | undefined

  constructor(factory: ResourceFactory<R>, limits: ResolvedPoolLimits, environment: PoolEnvironment) {
    this.#factory = factory
    this.#limits = limits
    this.#clock = environment.clock
    this.#random = environment.random
    this.#opener = new Opener<R>(factory, environment.clock, environment.random, limits.max, {
      opened: (resource, generation) => this.#opened(resource, generation),
      failed: (error) => this.#openFailed(error),
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
    return this.#ending
  }
  /** How long the first in the queue has waited, in milliseconds. */
  get longestWaitMs(): number {
    const first = this.#waiters.first
    return first === undefined ? 0 : this.#clock.now() - first.since
  }

  /** A slot at once, when one is idle, fresh and nobody waits; undefined when `acquire` is needed. */
  tryAcquire(): Slot<R> | undefined {
    if (this.#ending || this.#waiters.length > 0) return undefined
    const slot = this.#idle.top
    if (slot === undefined || !this.#isFresh(slot) || this.#needsCheck(slot)) return undefined
    this.#idle.pop()
    return this.#handOut(slot, this.#leaks.capture())
  }

  /**
   * A slot, now or when one comes free.
   *
   * @throws AcquireTimeoutError, ServerUnavailableError, QueueFullError, SelfDeadlockError, PoolClosedError,
   * OperationAbortedError, or what the server said when it will never let this user in.
   */
  acquire(limit: Limit, holder?: Holder): Promise<Slot<R>> {
    if (this.#ending) return Promise.reject(new PoolClosedError('cannot acquire a connection'))
    const reached = limitReached(limit, this.#clock)
    if (reached !== undefined) return Promise.reject(givenUp(reached, 'not-sent'))
    const slot = this.tryAcquire()
    if (slot !== undefined) return Promise.resolve(slot)
    if (this.#queued() >= this.#limits.maxWaiting && !this.#canServe()) {
      this.counts.turnedAway += 1
      return Promise.reject(new QueueFullError(this.#limits.maxWaiting, this.figures()))
    }
    const held = heldAround(holder)
    if (holder !== undefined && held > 0 && this.#waiters.heldByWaiting(holder) >= this.#limits.max) {
      return Promise.reject(new SelfDeadlockError(held, this.figures()))
    }
    return new Promise((resolve, reject) => this.#enqueue(resolve, reject, limit, holder))
  }

  /** Gives a slot back for the next one to use. */
  release(slot: Slot<R>): void {
    if (!this.#takeBack(slot)) return
    this.#land(slot)
  }

  /** Gives a slot back that must not be used again: it is torn down, and its place is free at once. */
  discard(slot: Slot<R>): void {
    if (this.#takeBack(slot)) this.#drop(slot)
  }

  /** A resource ended by itself. An idle one is dropped now; one in use when it comes back. */
  lost(resource: R): void {
    const slot = this.#idle.take(resource)
    if (slot !== undefined) this.#drop(slot)
  }

  /** Lets nobody have a connection opened before this call: idle ones are replaced, those in use when they come back. */
  evictAll(): void {
    this.#generation += 1
    for (const slot of this.#idle.takeAll()) this.#retire(slot)
    this.#dispatch()
  }

  /** Tries to open at once what is wanted: there is reason to believe that it can be opened again. */
  hurry(): void {
    this.#opener.hurry()
    this.#dispatch()
  }

  /**
   * Takes no new callers, serves those that already wait, and settles when every connection is closed. Call
   * `endNow` to cut it short.
   */
  end(): Promise<void> {
    this.#ending = true
    return new Promise((resolve) => {
      const before = this.#whenQuiet
      this.#whenQuiet = () => {
        before?.()
        resolve()
      }
      this.#dispatch()
    })
  }

  /**
   * Rejects whoever waits and tears down every connection, those in use included: whoever holds one and never gives it
   * back does not hold up the end.
   */
  endNow(): void {
    this.#ending = true
    for (;;) {
      const waiter = this.#waiters.shift()
      if (waiter === undefined) break
      waiter.stop()
      waiter.reject(new PoolClosedError('gave up waiting for a connection'))
    }
    for (const slot of [...this.#slots]) if (slot.state === 'busy') this.#confiscate(slot)
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

  #enqueue(resolve: (slot: Slot<R>) => void, reject: (error: Error) => void, limit: Limit, holder?: Holder): void {
    const since = this.#clock.now()
    const stack = this.#leaks.capture()
    const waiter: Waiter<R> = { resolve, reject, since, holder, stack, stop: nothing }
    // Bounds of its own are watched for it alone; the pool's, which most callers have only, by one timer for all.
    if (limit.signal !== undefined || limit.deadlineAt <= since + this.#limits.acquireTimeoutMs) {
      waiter.stop = watchLimit(limit, this.#clock, (reason) => {
        if (this.#waiters.remove(waiter)) this.#turnAway(waiter, reason)
        this.#dispatch()
      })
    }
    this.#waiters.add(waiter)
    this.#dispatch()
  }

  /**
   * Keeps a timer on the first in the queue, whose time is up before that of all behind it. It is not set anew when that
   * one is served, only when it goes off: under load, setting a timer for every caller costs as much as a tenth of a
   * short statement. No timer is left when nobody waits.
   */
  #watchQueue(): void {
    const { acquireTimeoutMs } = this.#limits
    if (this.#queueTimer !== undefined) {
      if (this.#waiters.length > 0) return
      this.#clock.clearTimer(this.#queueTimer)
      this.#queueTimer = undefined
    }
    const { first } = this.#waiters
    if (first === undefined || acquireTimeoutMs === Number.POSITIVE_INFINITY) return
    this.#queueTimer = this.#clock.setTimer(first.since + acquireTimeoutMs - this.#clock.now(), () => {
      this.#queueTimer = undefined
      const now = this.#clock.now()
      for (const waiter of this.#waiters) {
        if (now < waiter.since + acquireTimeoutMs) break
        this.#waiters.remove(waiter)
        waiter.stop()
        this.#turnAway(waiter, { kind: 'timeout', timeoutMs: acquireTimeoutMs })
      }
      this.#dispatch()
    })
  }

  #turnAway(waiter: Waiter<R>, reason: LimitReason): void {
    waiter.reject(this.#refusal(reason, waiter.since, waiter.holder))
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

  /** Callers for whom no connection is being opened or checked. */
  #queued(): number {
    return this.#waiters.length - this.#checking - this.#opener.opening
  }

  /** Whether one more caller would be given an idle connection or a new one, and not have to stand in the queue. */
  #canServe(): boolean {
    if (this.#idle.length > 0) return true
    const hasPlace = this.#slots.size + this.#opener.opening < this.#limits.max
    return hasPlace && this.#opener.mayOpen
  }

  /** The one place that matches callers, idle connections and free places. Idempotent: call it after any change. */
  #dispatch(): void {
    while (this.#waiters.length > this.#checking) {
      const slot = this.#idle.pop()
      if (slot === undefined) break
      if (!this.#isFresh(slot)) this.#retire(slot)
      else if (this.#needsCheck(slot)) this.#validate(slot)
      else this.#serve(slot)
    }
    this.#open()
    this.#watchQueue()
    this.#scheduleMaintenance()
    if (this.#ending && this.#waiters.length === 0) {
      for (const slot of this.#idle.takeAll()) this.#retire(slot)
      if (this.#slots.size === 0 && this.#opener.opening === 0) this.#becomeQuiet()
    }
  }

  #serve(slot: Slot<R>): void {
    const waiter = this.#waiters.shift()
    if (waiter === undefined) throw new Error('bug: a connection was to be served to an empty queue')
    waiter.stop()
    waiter.resolve(this.#handOut(slot, waiter.stack))
  }

  #handOut(slot: Slot<R>, stack: string | undefined): Slot<R> {
    slot.state = 'busy'
    slot.uses += 1
    slot.busySince = this.#clock.now()
    this.#active += 1
    this.counts.acquired += 1
    this.#leaks.acquired(slot, stack)
    return slot
  }

  #takeBack(slot: Slot<R>): boolean {
    if (slot.state !== 'busy') return false
    this.#active -= 1
    this.counts.released += 1
    this.#leaks.released(slot)
    slot.acquireStack = undefined
    return true
  }

  /** Takes a connection away from whoever holds it. */
  #confiscate(slot: Slot<R>): void {
    this.#active -= 1
    this.counts.released += 1
    this.#leaks.forget(slot)
    this.#drop(slot)
  }

  /**
   * A connection that has just been opened, checked or given back goes to the first in the queue, without a (further)
   * check, or onto the idle stack. One that must not be used any more is closed.
   */
  #land(slot: Slot<R>): void {
    slot.state = 'idle'
    slot.idleSince = this.#clock.now()
    if (!this.#isFresh(slot)) this.#retire(slot)
    else if (this.#waiters.length > 0) this.#serve(slot)
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
      this.#checking -= 1
      if (alive) this.#land(slot)
      else {
        this.counts.failedValidation += 1
        this.#drop(slot)
      }
    })
  }

  /** Opens as many connections as callers and `min` need and the gate allows. */
  #open(): void {
    const { max, min } = this.#limits
    for (;;) {
      const places = this.#slots.size + this.#opener.opening
      const forMin = this.#ending || this.#opener.isHopeless ? 0 : min - places
      if (places >= max || (this.#queued() <= 0 && forMin <= 0)) return
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
    if (this.#opener.isHopeless) this.#rejectAll(error)
    this.#dispatch()
  }

  #rejectAll(error: unknown): void {
    for (;;) {
      const waiter = this.#waiters.shift()
      if (waiter === undefined) return
      waiter.stop()
      waiter.reject(error as Error)
    }
  }

  /** Closes politely; the place is free when the connection is gone, so that the server never sees more than `max`. */
  #retire(slot: Slot<R>): void {
    slot.state = 'closing'
    void this.#factory.close(slot.resource).then(() => this.#gone(slot))
  }

  /** Tears down; nothing is left to wait for. */
  #drop(slot: Slot<R>): void {
    slot.state = 'closing'
    this.#factory.destroy(slot.resource)
    this.#gone(slot)
  }

  #gone(slot: Slot<R>): void {
    if (this.#slots.delete(slot)) this.counts.closed += 1
    this.#dispatch()
  }

  #scheduleMaintenance(): void {
    if (this.#maintenanceTimer !== undefined || this.#idle.length === 0 || this.#ending) return
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
    if (this.#maintenanceTimer !== undefined) this.#clock.clearTimer(this.#maintenanceTimer)
    this.#maintenanceTimer = undefined
    const whenQuiet = this.#whenQuiet
    this.#whenQuiet = undefined
    whenQuiet?.()
  }
}

const nothing = (): void => undefined
