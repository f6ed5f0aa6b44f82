import { ConnectionReleasedError } from '../errors/pool-errors.js'
import type { Connection } from '../wire/connection.js'
import { ForeignStatement, type Submittable } from '../wire/foreign-statement.js'

/** The cursors and streams of one client that are not at their end, so that none outlives its use of the connection. */
export class Guests {
  readonly #here = new Set<ForeignStatement>()

  /** @param told what is told of a failure in its place */
  async run(
    submittable: Submittable,
    run: (guest: ForeignStatement) => Promise<unknown>,
    told?: (error: unknown) => unknown,
  ): Promise<void> {
    const guest = new ForeignStatement(submittable, told)
    this.#here.add(guest)
    try {
      await run(guest)
    } finally {
      this.#here.delete(guest)
    }
  }

  /** The client is given back: who would read on is told so, and its connection is free again. */
  leave(connection: Connection): void {
    if (this.#here.size === 0) return
    const error = new ConnectionReleasedError()
    for (const guest of this.#here) connection.leave(guest, error)
  }
}
