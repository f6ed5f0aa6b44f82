import { AsyncLocalStorage } from 'node:async_hooks'
import type { Transaction as CoreTransaction, StatementConfig } from '@pg-lifeguard/core'
import type { AdapterPool } from '@pg-lifeguard/core/adapter'

const noop = (): undefined => undefined

/**
 * What Drizzle takes for the client of one transaction: a transaction that the core has begun. Drizzle makes its
 * transaction object on it, with schema and types; its BEGIN, COMMIT and ROLLBACK have nothing to do, as the core begins,
 * retries and ends the transaction.
 */
export class OpenTransactionClient {
  readonly #pool: AdapterPool
  readonly #transaction: CoreTransaction
  /** Whether Drizzle runs the callback now, or begins and ends around it. */
  #isInside = false

  constructor(pool: AdapterPool, transaction: CoreTransaction) {
    this.#pool = pool
    this.#transaction = transaction
  }

  /** Called by Drizzle, with the parameters apart. */
  async query(config: StatementConfig, values?: unknown[]): Promise<unknown> {
    const { text } = config
    if (!this.#isInside && /^(begin|commit|rollback)$/.test(text)) {
      return { rows: [], rowCount: null, fields: [], command: text.toUpperCase() }
    }
    // What would end the transaction is refused. Everything else is for this transaction and no other, wherever it is
    // called from; when it is over, it says so.
    this.#pool.assertNoControl(text)
    return await this.#transaction.query({ ...config, values })
  }

  /** Drizzle listens for the end of the connection, and gives it back: both are the core's to see to. */
  readonly on = noop
  readonly off = noop
  readonly release = noop

  async inside<T>(fn: () => Promise<T>): Promise<T> {
    this.#isInside = true
    try {
      return await fn()
    } finally {
      this.#isInside = false
    }
  }
}

/** What Drizzle takes for a pool, to get the client of a transaction from. */
export class OpenTransactionPool {
  // Drizzle looks for 'Pool' in the name of the class, and minifiers rename classes: a property they leave alone.
  static readonly name = 'LifeguardOpenTransactionPool'
  readonly #next = new AsyncLocalStorage<OpenTransactionClient>()

  /** Called by Drizzle, as the first thing of a transaction. */
  async connect(): Promise<OpenTransactionClient> {
    const client = this.#next.getStore()
    if (client === undefined) throw new Error('bug: a transaction of Drizzle that the core has not begun')
    return client
  }

  /** Runs `fn` in the transaction object that `begin` makes on this client. */
  adopt<Tx>(
    client: OpenTransactionClient,
    begin: (fn: (tx: Tx) => Promise<unknown>) => Promise<unknown>,
    fn: (tx: Tx) => Promise<unknown>,
  ): Promise<unknown> {
    return this.#next.run(client, () => begin((tx) => client.inside(() => fn(tx))))
  }
}
