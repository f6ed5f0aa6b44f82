import type { Clock } from '../deadline/clock.js'
import { type Deadline, givenUp } from '../deadline/deadline.js'
import { PoolClosedError, type PoolFigures } from '../errors/pool-errors.js'
import type { BudgetShare } from './budget.js'
import { Dispatcher } from './dispatcher.js'
import { type EvictMode, Lifecycle } from './lifecycle.js'
import type { PoolSize, ResolvedPoolLimits } from './limits.js'
import { Opener } from './opener.js'
import {
  newPoolCounts,
  type PoolCounts,
  type PoolEnvironment,
  type PoolObserver,
  type ResourceFactory,
  type Slot,
} from './resource.js'
import { Slots } from './slots.js'
import { Refusals, WaiterList, WaitQueue, type WorkContext } from './wait-queue.js'

/**
 * A pool of anything that is opened, used by one at a time, and closed. It knows no SQL.
 *
 * Idle resources are reused last in, first out, so that those not needed grow old and are closed; callers are served
 * first come, first served. This is its public side; who gets what is decided by the {@link Dispatcher}.
 */
export class ResourcePool<R> {
  readonly counts: PoolCounts = newPoolCounts()
  readonly #clock: Clock
  readonly #maxWaiting: number
  readonly #waiters = new WaiterList<R>()
  readonly #opener: Opener<R>
  readonly #slots: Slots<R>
  readonly #refusals: Refusals<R>
  readonly #queue: WaitQueue<R>
  readonly #lifecycle: Lifecycle<R>
  readonly #dispatcher: Dispatcher<R>

  constructor(
    factory: ResourceFactory<R>,
    limits: ResolvedPoolLimits,
    environment: PoolEnvironment,
    observer: PoolObserver<R> = {},
    share?: BudgetShare,
  ) {
    const { clock, random } = environment
    const waiters = this.#waiters
    const changed = (): void => this.#dispatcher.dispatch()
    this.#clock = clock
    this.#maxWaiting = limits.maxWaiting
    this.#opener = new Opener<R>(factory, clock, random, limits.max, {
      opened: (resource, generation) => this.#dispatcher.offer(this.#slots.add(resource, generation)),
      failed: (error) => this.#dispatcher.openFailed(error),
      again: changed,
    })
    this.#slots = new Slots(factory, limits, environment, this.counts, observer, {
      isEnding: () => this.isEnding,
      hasSurplus: () => this.#dispatcher.surplus > 0,
      checked: (slot) => this.#dispatcher.offer(slot),
      failedCheck: changed,
      closed: () => this.#dispatcher.slotClosed(),
    })
    this.#refusals = new Refusals(factory, environment, this.#slots, waiters, this.#opener)
    this.#queue = new WaitQueue(waiters, this.#refusals, clock, limits, {
      isHeldUp: (): boolean => this.#lifecycle.isPaused || this.#opener.isDown,
      changed,
    })
    this.#lifecycle = new Lifecycle(this.#slots, this.#opener, waiters, this.#queue, {
      changed,
      over: () => this.#dispatcher.stop(),
    })
    const { counts } = this
    const parts = {
      opener: this.#opener,
      slots: this.#slots,
      queue: this.#queue,
      lifecycle: this.#lifecycle,
      waiters,
      counts,
      clock,
    }
    this.#dispatcher = new Dispatcher(parts, limits, share)
    this.#dispatcher.dispatch()
  }

  get total(): number {
    return this.#slots.total
  }
  get active(): number {
    return this.#slots.active
  }
  get idle(): number {
    return this.#slots.idle.length
  }
  /** Those being closed, which keep their places until they are closed. */
  get closing(): number {
    return this.#slots.closing
  }
  get connecting(): number {
    return this.#opener.opening
  }
  get waiting(): number {
    return this.#waiters.length
  }
  get isEnding(): boolean {
    return !this.#lifecycle.isOpen
  }
  get isPaused(): boolean {
    return this.#lifecycle.isPaused
  }
  /** Whether callers that have waited for too long are shed now. */
  get isOverloaded(): boolean {
    return this.#queue.isOverloaded
  }
  get max(): number {
    return this.#opener.max
  }
  get min(): number {
    return this.#dispatcher.min
  }
  /** How long the first in the queue has waited, in milliseconds. */
  get longestWaitMs(): number {
    return this.#queue.longestWaitMs
  }
  /** Whether every resource is in use, none may be opened, and nobody waits: who shares may then do so at once. */
  get isSaturated(): boolean {
    return this.#lifecycle.isServing && this.#waiters.length === 0 && !this.#dispatcher.canServe
  }
  /** The state of the pool in numbers, for errors and statistics. */
  figures(): PoolFigures {
    return this.#refusals.figures()
  }

  /** A slot at once, when one is idle, fresh and nobody waits; undefined when `acquire` is needed. */
  tryAcquire(): Slot<R> | undefined {
    if (!this.#lifecycle.isServing || this.#waiters.length > 0) return undefined
    const slots = this.#slots
    const slot = slots.idle.top
    if (slot === undefined || !slots.isFresh(slot) || slots.needsCheck(slot)) return undefined
    slots.idle.pop()
    return slots.handOut(slot, slots.captureStack())
  }

  /**
   * A slot, now or when one comes free.
   *
   * @throws AcquireTimeoutError, ServerUnavailableError, QueueFullError, OverloadedError, SelfDeadlockError,
   * PoolClosedError, OperationAbortedError, or the error of a login that can never succeed.
   */
  acquire(deadline: Deadline, holder?: WorkContext): Promise<Slot<R>> {
    return new Promise((resolve, reject) => this.request(resolve, reject, deadline, holder))
  }

  /**
   * The same for callers that take their slot in the same turn in which it is given.
   *
   * @param isSharing whether it may also be given a slot that others of its kind use, through `joinSharing`
   */
  request(
    resolve: (slot: Slot<R>) => void,
    reject: (error: Error) => void,
    deadline: Deadline,
    holder: WorkContext | undefined,
    isSharing = false,
  ): void {
    const refusal = this.#refusalAtOnce(deadline, holder)
    if (refusal !== undefined) {
      reject(refusal)
      return
    }
    const slot = this.tryAcquire()
    if (slot !== undefined) {
      resolve(slot)
      return
    }
    const isFull = this.#dispatcher.queued >= this.#maxWaiting && !this.#dispatcher.canServe
    const rejection = isFull ? this.#refusals.full(this.#maxWaiting) : this.#refusals.selfDeadlock(holder)
    if (rejection !== undefined) {
      reject(rejection)
      return
    }
    this.#queue.add(resolve, reject, deadline, holder, isSharing, this.#slots.captureStack())
    this.#dispatcher.dispatch()
  }

  #refusalAtOnce(deadline: Deadline, holder: WorkContext | undefined): Error | undefined {
    if (!this.#lifecycle.admits(holder)) return new PoolClosedError('cannot acquire a connection')
    const reached = deadline.reached()
    return reached === undefined ? undefined : givenUp(reached, 'not-sent')
  }

  /** The slots that are in use now. */
  busy(): Iterable<Slot<R>> {
    return this.#slots.busy()
  }

  /** This slot is held for as long as its user wants, as for a lock: that is no leak. */
  ignoreLeak(slot: Slot<R>): void {
    this.#slots.ignoreLeak(slot)
  }

  /** How long a slot has been in use, in milliseconds. */
  heldMs(slot: Slot<R>): number {
    return this.#clock.now() - slot.busySince
  }

  /** Whether a slot that is in use may serve one more that shares it. */
  mayJoin(slot: Slot<R>): boolean {
    return this.#dispatcher.mayJoin(slot)
  }

  /**
   * Gives a slot that is in use to those at the head of the queue who share, `most` at most; stops at the first that
   * does not, so that nobody is overtaken. Returns how many have got it.
   */
  joinSharing(slot: Slot<R>, most: number): number {
    return this.#dispatcher.joinSharing(slot, most)
  }

  /** Releases a slot for the next one to use. */
  release(slot: Slot<R>): void {
    if (this.#slots.release(slot)) this.#dispatcher.offer(slot)
  }

  /** Releases a slot that must not be used again: it is torn down, and its place is free when it is closed. */
  destroy(slot: Slot<R>): void {
    if (!this.#slots.release(slot)) return
    this.#slots.destroy(slot)
    this.#dispatcher.dispatch()
  }

  /** A resource ended by itself. An idle one is destroyed now; one in use when it is released. */
  lost(resource: R): void {
    const slot = this.#slots.idle.remove(resource)
    if (slot === undefined) return
    this.#slots.destroy(slot)
    this.#dispatcher.dispatch()
  }

  /** Validates each that is idle now before its next use: something has ended another one from outside. */
  validateIdle(): void {
    this.#slots.validateIdle()
  }

  /** Closes connections and settles when they are closed; new ones are opened as they are needed. See {@link EvictMode}. */
  evict(mode: EvictMode): Promise<void> {
    return this.#lifecycle.evict(mode)
  }

  /**
   * Gives nobody a connection until `resume`: callers wait in the queue, within their own deadlines. Only work that holds
   * a connection already gets another one, as it could not be finished otherwise. Settles when nothing is in use.
   *
   * @throws OperationAbortedError when the pool is resumed or torn down before
   */
  pause(): Promise<void> {
    return this.#lifecycle.pause()
  }

  /** Ends a pause; whoever waits is served. */
  resume(): void {
    this.#lifecycle.resume()
  }

  /**
   * Changes how many connections there may and should be. Those above the new maximum are closed as they are released.
   *
   * @throws InvalidArgumentError when a shared budget has no room for `min`
   */
  resize(size: PoolSize): void {
    this.#dispatcher.resize(size)
  }

  /** Tries to open at once what is wanted: there is reason to believe that it can be opened again. */
  retryNow(): void {
    this.#opener.retryNow()
    this.#dispatcher.dispatch()
  }

  /**
   * Takes no new callers, serves those that already wait, also when it was paused, and settles when every connection is
   * closed. Call `endNow` to cut it short, or `cancelEnd` to go on as before.
   *
   * @throws OperationAbortedError when it was cancelled
   */
  end(): Promise<void> {
    return this.#lifecycle.end()
  }

  /** Goes on as if `end` had not been called; false when it is too late for that. */
  cancelEnd(): boolean {
    return this.#lifecycle.cancelEnd()
  }

  /**
   * Rejects whoever waits and tears down every connection, those in use and those being opened included: whoever holds
   * one and never releases it does not hold up the end.
   */
  endNow(): void {
    this.#lifecycle.endNow()
  }

  /** Rejects everybody who waits and is not urgent, each with an error of its own. */
  rejectWaiting(refusal: () => Error): void {
    this.#queue.rejectUnlessUrgent(refusal)
    this.#dispatcher.dispatch()
  }
}
