import type { Causality } from './causality.js'
import { positionOf, positionSql } from './sighting.js'

/** Takes the position behind a COMMIT, in the same round trip, for the line of work that committed. */
export class CommitFollower {
  /** What is asked behind COMMIT. */
  readonly text = positionSql
  readonly #causality: Causality

  constructor(causality: Causality) {
    this.#causality = causality
  }

  /** It was committed, and this is the row that the question behind it gave. */
  committed(row: unknown): void {
    this.#causality.note(positionOf(row))
  }

  /** It was or may have been committed, and nobody said where. */
  unknown(): void {
    this.#causality.noteUnknown()
  }
}
