import type { Deadline } from '../deadline/deadline.js'
import type { PoolEnvironment } from '../resource-pool/resource.js'

/**
 * What a session beside the pool is for.
 *
 * - `listen`: the subscriptions of `listen`.
 * - `locks`: what locks have to find out, or to show, while the pool is full.
 * - `health`: `health()` of a full pool.
 * - `terminate`: ending a session whose outcome is not known.
 */
export type BesideUse = 'listen' | 'locks' | 'health' | 'terminate'

/** The sessions beside a pool at one moment: those that do not count for `max`. */
export interface BesideStats extends Readonly<Record<BesideUse, number>> {
  /** The connections that probe the servers of a pool with replicas or several hosts: one for each at most. */
  readonly watch: number
  /** All of them. */
  readonly total: number
}

/** The most at a time, for each server. One of those of locks may last; the others last as long as one query. */
export const mostBeside: Readonly<Record<BesideUse, number>> = { listen: 1, locks: 3, health: 2, terminate: 2 }

/** Counts the sessions beside the pool to one server, and limits their number. */
export class Beside {
  readonly #now: Record<BesideUse, number> = { listen: 0, locks: 0, health: 0, terminate: 0 }
  /** Those who wait for a place. */
  readonly #waiting = new Map<BesideUse, Set<() => void>>()

  /** Those that there are now, with those being opened or closed. */
  get now(): Readonly<Record<BesideUse, number>> {
    return this.#now
  }

  /**
   * Takes a place, when there is one.
   *
   * @throws OperationTimeoutError or OperationAbortedError when there is none within the limit
   */
  async acquire(use: BesideUse, deadline: Deadline, owner: PoolEnvironment): Promise<void> {
    if (this.#now[use] < mostBeside[use]) {
      this.#now[use] += 1
      return
    }
    const queue = this.#waiting.get(use) ?? new Set()
    this.#waiting.set(use, queue)
    const { promise, resolve } = Promise.withResolvers<void>()
    queue.add(resolve)
    try {
      await deadline.within(promise, 'not-sent', owner)
    } catch (error) {
      // It may have been given the place in the same turn.
      if (!queue.delete(resolve)) this.release(use)
      throw error
    }
  }

  /** Its place is free for the next one. */
  release(use: BesideUse): void {
    const queue = this.#waiting.get(use)
    const next = queue?.values().next().value
    if (next === undefined) this.#now[use] -= 1
    else {
      queue?.delete(next)
      next()
    }
  }
}

/** Adds up what is beside each of several servers, and what watches them. */
export function besideStats(all: readonly Beside[], watch: number): BesideStats {
  const sum = (use: BesideUse): number => all.reduce((count, { now }) => count + now[use], 0)
  const uses = { listen: sum('listen'), locks: sum('locks'), health: sum('health'), terminate: sum('terminate') }
  const { listen, locks, health, terminate } = uses
  return { ...uses, watch, total: listen + locks + health + terminate + watch }
}
