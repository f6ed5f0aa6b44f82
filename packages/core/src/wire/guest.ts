import type pg from 'pg'
import { Operation, type Wire } from './operation.js'

/** Something that speaks to the server through `pg`'s own client, which gets its answers while it is here. */
export class Guest extends Operation {
  readonly #submittable: pg.Submittable
  readonly #resolve: () => void
  readonly #reject: (error: unknown) => void

  constructor(submittable: pg.Submittable, resolve: () => void, reject: (error: unknown) => void) {
    super()
    this.isGuest = true
    this.#submittable = submittable
    this.#resolve = resolve
    this.#reject = reject
  }

  override answer(error: unknown): void {
    if (error === undefined) this.#resolve()
    else this.#reject(error)
  }

  override write({ outbox, client }: Wire): void {
    // What is in the outbox goes first.
    outbox.write()
    client.query(this.#submittable)
  }
}
