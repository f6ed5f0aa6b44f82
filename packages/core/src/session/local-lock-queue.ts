import type { Clock } from '../base/clock.js'
import type { Limit } from '../base/limit.js'
import { within } from '../errors/given-up.js'

/**
 * A line for each key inside this process. Only its head waits on the server, with a connection: without it, a hundred
 * callers for one lock would take every connection of the pool to wait with, and leave none to work with.
 */
export class LocalLockQueue {
  /** The end of each line: settles when the last one in it is done. */
  readonly #tails = new Map<string, Promise<void>>()

  /** Waits for one's turn; returns the way to let the next one have theirs. */
  async enter(key: string, limit: Limit, clock: Clock): Promise<() => void> {
    const before = this.#tails.get(key)
    const turn = Promise.withResolvers<void>()
    const tail = before === undefined ? turn.promise : before.then(() => turn.promise)
    this.#tails.set(key, tail)
    // The line is forgotten when its last turn is over, not when its last one leaves: others may still be in front.
    void tail.then(() => {
      if (this.#tails.get(key) === tail) this.#tails.delete(key)
    })
    const leave = (): void => turn.resolve()
    if (before === undefined) return leave
    try {
      await within(before, limit, clock)
      return leave
    } catch (error) {
      leave()
      throw error
    }
  }
}
