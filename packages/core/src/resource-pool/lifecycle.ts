import { OperationAbortedError } from '../errors/operation-errors.js'
import { PoolClosedError } from '../errors/pool-errors.js'
import type { Opener } from './opener.js'
import type { Slots } from './slots.js'
import { connectionsHeldBy, type WaiterList, type WaitQueue, type WorkContext } from './wait-queue.js'

/** Promises of what happens to the pool: each is resolved when its condition holds at a check. */
class Conditions {
  readonly #awaited = new Set<Awaited>()

  /** Settles when `holds` does; at once when it does already. */
  until(holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.#awaited.add({ holds, resolve, reject })
    })
  }

  /** To be called after any change. Costs nothing while nobody waits. */
  check(): void {
    if (this.#awaited.size === 0) return
    for (const one of this.#awaited) {
      if (!one.holds()) continue
      this.#awaited.delete(one)
      one.resolve()
    }
  }

  /** Rejects all of them: none will hold any more. */
  fail(error: Error): void {
    for (const { reject } of this.#awaited) reject(error)
    this.#awaited.clear()
  }
}

interface Awaited {
  readonly holds: () => boolean
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/**
 * Which connections an eviction closes.
 *
 * - `'idle'`: those that nobody uses now; whoever asks next gets a new one.
 * - `'graceful'`: every one that was opened before the call, those in use as they are released.
 * - `'all'`: every one that was opened before the call, at once: what runs on them fails.
 */
export type EvictMode = 'idle' | 'graceful' | 'all'

/** Everything that it may be. */
export const evictModes: readonly EvictMode[] = ['idle', 'graceful', 'all']

/** What the lifecycle needs of its pool. */
export interface LifecycleEvents {
  /** Something has changed: callers, idle connections and free places are to be matched. */
  readonly changed: () => void
  /** The pool has ended, and every connection is closed. */
  readonly over: () => void
}

/** Eviction, pause and end of a pool, and when each of them is done. */
export class Lifecycle<R> {
  readonly #slots: Slots<R>
  readonly #opener: Opener<R>
  readonly #waiters: WaiterList<R>
  readonly #queue: WaitQueue<R>
  readonly #events: LifecycleEvents
  readonly #evictions = new Conditions()
  readonly #pauses = new Conditions()
  readonly #ends = new Conditions()
  #phase: 'open' | 'ending' | 'tearing' = 'open'
  #isPaused = false

  constructor(
    slots: Slots<R>,
    opener: Opener<R>,
    waiters: WaiterList<R>,
    queue: WaitQueue<R>,
    events: LifecycleEvents,
  ) {
    this.#slots = slots
    this.#opener = opener
    this.#waiters = waiters
    this.#queue = queue
    this.#events = events
  }

  /** Whether it takes new callers. */
  get isOpen(): boolean {
    return this.#phase === 'open'
  }
  get isPaused(): boolean {
    return this.#isPaused
  }
  /** Whether it is open and not paused: it serves whoever comes. */
  get isServing(): boolean {
    return this.#phase === 'open' && !this.#isPaused
  }

  /**
   * Whether it still takes this caller. Work that has begun may be finished while the pool ends: what it holds would be
   * released no sooner otherwise.
   */
  admits(holder: WorkContext | undefined): boolean {
    return this.#phase === 'open' || (this.#phase === 'ending' && connectionsHeldBy(holder) > 0)
  }

  evict(mode: EvictMode): Promise<void> {
    const closing = this.#slots.closeIdle(true)
    if (mode === 'idle') {
      this.#events.changed()
      return this.#evictions.until(() => !closing.some((slot) => this.#slots.has(slot)))
    }
    const generation = this.#slots.beginGeneration()
    if (mode === 'all') this.#slots.destroyInUse()
    this.#events.changed()
    return this.#evictions.until(() => !this.#slots.hasOlder(generation) && !this.#opener.isOpeningBefore(generation))
  }

  pause(): Promise<void> {
    if (this.#phase !== 'open') return Promise.reject(new PoolClosedError('cannot pause'))
    this.#isPaused = true
    this.#events.changed()
    return this.#pauses.until(() => this.#slots.active + this.#slots.checking === 0)
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#queue.restart()
    this.#pauses.fail(new OperationAbortedError('cancelled', { cause: new Error('the pool was resumed') }))
    this.#events.changed()
  }

  end(): Promise<void> {
    if (this.#phase === 'open') this.#phase = 'ending'
    this.resume()
    const ended = this.#ends.until(() => this.#isQuiet())
    this.#events.changed()
    return ended
  }

  cancelEnd(): boolean {
    if (this.#phase !== 'ending' || this.#isQuiet()) return false
    this.#phase = 'open'
    this.#ends.fail(new OperationAbortedError('cancelled', { cause: new Error('the end of the pool was cancelled') }))
    this.#events.changed()
    return true
  }

  endNow(): void {
    this.#phase = 'tearing'
    this.#queue.rejectAll(() => new PoolClosedError('gave up waiting for a connection'))
    this.resume()
    this.#slots.destroyInUse()
    this.#opener.abortAll()
    this.#events.changed()
  }

  /** To be called after any change: goes on with an end, and settles what is done. */
  settle(): void {
    if (this.#phase !== 'open' && this.#waiters.length === 0) {
      this.#slots.closeIdle()
      if (this.#isQuiet()) {
        this.#events.over()
        this.#ends.check()
      }
    }
    this.#evictions.check()
    this.#pauses.check()
  }

  #isQuiet(): boolean {
    return this.#slots.total + this.#opener.opening + this.#waiters.length === 0
  }
}
