import type { Lsn } from '../base/lsn.js'

/** The primary's place in its log at some moment. */
interface Mark {
  /** When it was asked, on this process's clock: whatever had been committed by then is at or before `lsn`. */
  readonly askedAt: number
  readonly lsn: Lsn
}

/** How many marks are kept. At one each 25 ms or more that is enough for every lag that is worth a number. */
const mostMarks = 2_048

/**
 * Where the primary was when, as far as this process has seen: what a replica's lag is measured by.
 *
 * Neither of the two usual measures will do. `now() - pg_last_xact_replay_timestamp()` grows without end on a replica of
 * a primary that nobody writes to; 'received everything' is true for ever when the connection to the primary is dead.
 * Here a replica is as old as the newest moment of which it has replayed everything: on one clock, and true in both
 * cases. https://www.postgresql.org/docs/18/functions-admin.html#FUNCTIONS-RECOVERY-INFO-TABLE
 */
export class PrimaryTrail {
  #marks: Mark[] = []
  #isFrozen = false

  /** The newest place that was seen. */
  get lsn(): Lsn | undefined {
    return this.#marks.at(-1)?.lsn
  }

  /** The primary was at `lsn` at some moment between `askedAt` and now. */
  add(askedAt: number, lsn: Lsn): void {
    this.#isFrozen = false
    const last = this.#marks.at(-1)
    if (last !== undefined && (askedAt < last.askedAt || lsn < last.lsn)) return
    // Of the moments at which it stood in the same place, the newest one says all.
    if (last !== undefined && last.lsn === lsn) this.#marks.pop()
    this.#marks.push({ askedAt, lsn })
    if (this.#marks.length > mostMarks) this.#marks = this.#marks.slice(-mostMarks / 2)
  }

  /**
   * The primary is out of reach. Until it is seen again a lag is measured against the last moment that is known of it:
   * as far as can be told from here, there is nobody that a replica could be behind.
   */
  freeze(): void {
    this.#isFrozen = true
  }

  /** Another server is the primary now: places in its log are no measure of the old one's. */
  restart(): void {
    this.#marks = []
    this.#isFrozen = false
  }

  /** Whether the primary is out of reach. */
  get isFrozen(): boolean {
    return this.#isFrozen
  }

  /** How old the data of a replica is that has replayed up to `lsn`, in milliseconds; Infinity when that is not known. */
  lagMs(lsn: Lsn, now: number): number {
    let low = 0
    let high = this.#marks.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#marks[middle]?.lsn ?? 0n) <= lsn) low = middle + 1
      else high = middle
    }
    const mark = this.#marks[low - 1]
    if (mark === undefined) return Number.POSITIVE_INFINITY
    const upTo = this.#isFrozen ? (this.#marks.at(-1)?.askedAt ?? now) : now
    return Math.max(0, upTo - mark.askedAt)
  }

  /** How much log a replica has yet to replay, in bytes; undefined when that is not known. */
  lagBytes(lsn: Lsn): bigint | undefined {
    const newest = this.lsn
    if (newest === undefined) return undefined
    return newest > lsn ? newest - lsn : 0n
  }
}

/** How far behind the primary a replica may be. */
export interface FreshnessBound {
  readonly maxLagMs: number
  /** Undefined: bytes are no measure. */
  readonly maxLagBytes: number | undefined
}

/** Whether a replica is fresh enough: in time, or in bytes. */
export function isFreshEnough(trail: PrimaryTrail, lsn: Lsn, bound: FreshnessBound, now: number): boolean {
  if (trail.lagMs(lsn, now) <= bound.maxLagMs) return true
  if (bound.maxLagBytes === undefined) return false
  const bytes = trail.lagBytes(lsn)
  return bytes !== undefined && bytes <= BigInt(Math.floor(Math.min(bound.maxLagBytes, Number.MAX_SAFE_INTEGER)))
}
