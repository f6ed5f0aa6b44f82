import type { Clock } from '../base/clock.js'
import type { Limit } from '../base/limit.js'
import { within } from '../errors/given-up.js'
import type { CausalToken } from './causal-token.js'
import type { Causality } from './causality.js'
import type { RouteReason } from './cluster-events.js'
import type { Topology } from './topology.js'
import type { WritePositions } from './write-positions.js'

/** The position of a write is worth a round trip, even to reads that do not wait for a replica, in milliseconds. */
const leastWaitMs = 50

/** Finds out where lines of work have written, so that replicas can be held against it. */
export class CausalWrites {
  readonly #positions: Pick<WritePositions, 'next'>
  readonly #topology: Pick<Topology, 'writer'>
  readonly #clock: Clock
  readonly #waitMs: number

  /** @param waitMs how long a read waits for a replica to show what was written */
  constructor(
    positions: Pick<WritePositions, 'next'>,
    topology: Pick<Topology, 'writer'>,
    clock: Clock,
    waitMs: number,
  ) {
    this.#positions = positions
    this.#topology = topology
    this.#clock = clock
    this.#waitMs = waitMs
  }

  /** Whether the primary is known not to tell where it has written: then whoever has written reads there. */
  get isMute(): boolean {
    const sighting = this.#topology.writer?.sighting
    return sighting !== undefined && sighting.lsn === undefined
  }

  /** Something was written in this line of work; its position follows, and its reads wait for that. */
  wrote(causality: Causality): void {
    if (this.isMute) causality.noteUnknown()
    else causality.noteSoon(this.#positions.next())
  }

  /** Where the primary is now: at or behind everything that has been committed. */
  position(): Promise<CausalToken> {
    return this.#positions.next()
  }

  /**
   * Sees to it that the position of all that was written before is known. Gives the reason when it is not, or could not be
   * found out in time: then only the primary will do.
   */
  async settle(causality: Causality | undefined, limit: Limit): Promise<RouteReason | undefined> {
    if (causality === undefined || (!causality.isPending && !causality.isUnknown)) return undefined
    if (this.isMute) return 'no-position'
    const over = Promise.withResolvers<false>()
    const timer = this.#clock.setTimer(Math.max(leastWaitMs, this.#waitMs), () => over.resolve(false))
    try {
      const isSettled = await within(Promise.race([this.#findOut(causality), over.promise]), limit, this.#clock)
      return isSettled ? undefined : 'causality'
    } finally {
      this.#clock.clearTimer(timer)
    }
  }

  async #findOut(causality: Causality): Promise<boolean> {
    await causality.settled()
    if (!causality.isUnknown) return true
    const { unknowns } = causality
    try {
      causality.settleUnknown(await this.position(), unknowns)
      return true
    } catch {
      return false // the primary, which the read then goes to, says itself what is wrong with it
    }
  }
}
