import type { Clock } from '../base/clock.js'
import type { LimitReason } from '../base/limit.js'
import { givenUp } from '../errors/given-up.js'
import {
  AcquireTimeoutError,
  type HolderFigures,
  OverloadedError,
  type PoolFigures,
  QueueFullError,
  SelfDeadlockError,
  ServerUnavailableError,
} from '../errors/pool-errors.js'
import type { Opener } from './opener.js'
import type { PoolCounts } from './pool-counts.js'
import type { PoolEnvironment } from './pool-environment.js'
import type { ResourceFactory } from './resource-factory.js'
import type { Slots } from './slots.js'
import { type Holder, heldAround, type Waiter } from './waiter.js'
import type { WaiterQueue } from './waiter-queue.js'

/** How many holders an error names: the rest is in `pool.active()`. */
const mostHolders = 3

/** Why a caller gets no connection, as the error that it gets; each is counted. */
export class Refusals<R> {
  readonly #factory: ResourceFactory<R>
  readonly #poolName: string | undefined
  readonly #clock: Clock
  readonly #slots: Slots<R>
  readonly #waiters: WaiterQueue<R>
  readonly #opener: Opener<R>
  readonly #counts: PoolCounts

  constructor(
    factory: ResourceFactory<R>,
    { clock, poolName }: PoolEnvironment,
    slots: Slots<R>,
    waiters: WaiterQueue<R>,
    opener: Opener<R>,
    counts: PoolCounts,
  ) {
    this.#factory = factory
    this.#poolName = poolName
    this.#clock = clock
    this.#slots = slots
    this.#waiters = waiters
    this.#opener = opener
    this.#counts = counts
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

  /** So many wait already that there is no place for one more. */
  full(maxWaiting: number): Error {
    this.#counts.turnedAway += 1
    return new QueueFullError(maxWaiting, this.figures())
  }

  /** Everything is held by work that waits for more of it, with this one; undefined when that is not so. */
  selfDeadlock(holder: Holder | undefined): Error | undefined {
    const held = heldAround(holder)
    if (holder === undefined || held === 0 || this.#waiters.heldByWaiting(holder) < this.#opener.max) return undefined
    return new SelfDeadlockError(held, this.figures())
  }

  /** It gave up, the server is down, or the pool is busy. These are three things. */
  givenUp(reason: LimitReason, { since, holder }: Waiter<R>): Error {
    if (reason.kind === 'aborted') {
      this.#counts.aborted += 1
      return givenUp(reason, 'not-sent')
    }
    this.#counts.timedOut += 1
    const waited = this.#clock.now() - since
    const { lastError, failuresInARow, isWaitingForServer } = this.#opener
    const { active, idle, checking } = this.#slots
    // Not one connection is open, and the server has refused one or has not answered yet: the pool is not what is busy.
    if (isWaitingForServer && active + idle.length + checking === 0) {
      return new ServerUnavailableError(this.#factory.where, waited, failuresInARow, this.figures(), {
        cause: lastError ?? new Error('timeout, no answer yet'),
      })
    }
    const heldByCaller = heldAround(holder)
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
    this.#counts.shed += 1
    return new OverloadedError(waitedMs, figures)
  }
}
