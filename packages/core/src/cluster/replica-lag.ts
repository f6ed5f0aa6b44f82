/**
 * A position in the write-ahead log, as its number of bytes. A number of JavaScript would lose the last bits of it; a
 * comparison of the texts would be wrong, as their parts are not padded.
 * https://www.postgresql.org/docs/18/datatype-pg-lsn.html
 */
export type Lsn = bigint

const form = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i
/** Size of a page of the log, and of the header that a page begins with. */
const pageBytes = 8_192n
const shortHeaderBytes = 24n

/** The position that a string such as `16/B374D848` names; undefined when it names none. */
export function parseLsn(text: string): Lsn | undefined {
  const parts = form.exec(text)
  if (parts === null) return undefined
  return (BigInt(`0x${parts[1]}`) << 32n) | BigInt(`0x${parts[2]}`)
}

/** As the server writes it: two hexadecimal numbers in capitals, without leading zeros. */
export function formatLsn(lsn: Lsn): string {
  return `${(lsn >> 32n).toString(16)}/${(lsn & 0xffff_ffffn).toString(16)}`.toUpperCase()
}

/**
 * Where the last record ends, given the server's insert position. When that record fills its page to the last byte, the
 * server reports where the next one will begin, after the header of the next page; a standby that has replayed everything
 * still stands at the end of the page, and would be waited for in vain. No record can end where a header does.
 */
export function endOfLastRecord(insertPosition: Lsn): Lsn {
  return insertPosition % pageBytes === shortHeaderBytes ? insertPosition - shortHeaderBytes : insertPosition
}

/** The primary's position in its log at some moment. */
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
export class ReplicationLagTracker {
  #marks: Mark[] = []
  #isFrozen = false

  /** The newest position that was seen. */
  get lsn(): Lsn | undefined {
    return this.#marks.at(-1)?.lsn
  }

  /** The primary was at `lsn` at some moment between `askedAt` and now. */
  add(askedAt: number, lsn: Lsn): void {
    this.#isFrozen = false
    const last = this.#marks.at(-1)
    if (last !== undefined && (askedAt < last.askedAt || lsn < last.lsn)) return
    // Of the moments at which it stood at the same position, the newest one says all.
    if (last !== undefined && last.lsn === lsn) this.#marks.pop()
    this.#marks.push({ askedAt, lsn })
    if (this.#marks.length > mostMarks) this.#marks = this.#marks.slice(-mostMarks / 2)
  }

  /**
   * The primary is out of reach. Until it is seen again a lag is measured against the last moment that is known of it:
   * as far as is known here, there is nobody that a replica could be behind.
   */
  freeze(): void {
    this.#isFrozen = true
  }

  /** Another server is the primary now: positions in its log are no measure of the old one's. */
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
export function isFreshEnough(trail: ReplicationLagTracker, lsn: Lsn, bound: FreshnessBound, now: number): boolean {
  if (trail.lagMs(lsn, now) <= bound.maxLagMs) return true
  if (bound.maxLagBytes === undefined) return false
  const bytes = trail.lagBytes(lsn)
  return bytes !== undefined && bytes <= BigInt(Math.floor(Math.min(bound.maxLagBytes, Number.MAX_SAFE_INTEGER)))
}
