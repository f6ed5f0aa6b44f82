import { AsyncLocalStorage } from 'node:async_hooks'
import type { Pool } from '@pg-lifeguard/core'

/** Whether Drizzle runs the callback now, or begins and ends around it. */
interface Adoption {
  isInside: boolean
}

const storage = new AsyncLocalStorage<Adoption>()

/**
 * What Drizzle takes for a client of its own: the transaction that is open on the pool around the call. Drizzle makes
 * its transaction object on it, with schema and types; its BEGIN, COMMIT and ROLLBACK have nothing to do, as the core
 * begins, retries and ends the transaction.
 */
export class OpenTransactionClient {
  readonly #pool: Pool

  constructor(pool: Pool) {
    this.#pool = pool
  }

  /** Called by Drizzle, with the parameters apart. */
  async query(config: { readonly text: string }, values?: unknown[]): Promise<unknown> {
    const isDrizzles = storage.getStore()?.isInside === false && /^(begin|commit|rollback)$/.test(config.text)
    if (isDrizzles) return { rows: [], rowCount: null, fields: [], command: config.text.toUpperCase() }
    return await this.#pool.asPgPool().query(config as never, values as never)
  }

  /** Runs `fn` in a transaction object that `begin` makes on this client. */
  adopt<Tx>(
    begin: (fn: (tx: Tx) => Promise<unknown>) => Promise<unknown>,
    fn: (tx: Tx) => Promise<unknown>,
  ): Promise<unknown> {
    const adoption: Adoption = { isInside: false }
    return storage.run(adoption, () =>
      begin(async (tx) => {
        adoption.isInside = true
        try {
          return await fn(tx)
        } finally {
          adoption.isInside = false
        }
      }),
    )
  }
}
