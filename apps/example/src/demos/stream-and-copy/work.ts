/** What a work has seen of the rows. */
export interface Seen {
  readonly rows: number
  /** A sum over all of them, to show that none was missed. */
  readonly total: number
  /** The rows themselves, when all of them are handed on. */
  readonly all?: readonly unknown[]
}

/** Reads, or makes, `count` rows. */
export type Work = (url: string, count: number) => Promise<Seen>
