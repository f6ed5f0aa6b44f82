import { AsyncLocalStorage } from 'node:async_hooks'
import type { Limit, OperationOptions } from '../base/limit.js'
import type { Holder } from '../pool/waiter.js'
import type { QueryResult, StatementConfig } from '../wire/statement.js'
import type { HeldLock } from './held-lock.js'
import type { ControlledTransaction, Transaction } from './transaction.js'
import type { BeginOptions } from './transaction-options.js'

/** A level of a transaction that is open around some code, as the code that joins it sees it. */
export interface OpenTransaction extends Transaction {
  readonly isOver: boolean
  /** How the outermost level began. */
  readonly begun: BeginOptions
  execute(config: StatementConfig, limit: Limit): Promise<QueryResult>
  /** A savepoint that is ended by hand. */
  begin(options?: OperationOptions): Promise<ControlledTransaction>
  /** Whether this is that level, or one nested in it. */
  isWithin(other: OpenTransaction): boolean
}

/**
 * What is open around the code that runs now: a transaction that queries join, locks that are already held, and the
 * number of connections that this line of work has taken out of the pool.
 */
export interface AmbientContext {
  readonly transaction: OpenTransaction | undefined
  readonly locks: ReadonlyMap<string, HeldLock>
  /** One for a line of work, however deeply it nests: what waits for a connection is found by it. */
  readonly holder: Holder
}

/**
 * The ambient context of one pool. It follows the asynchronous flow of the code, so that every ORM on the pool runs in
 * the open transaction without being told. https://nodejs.org/api/async_context.html
 */
export class Ambient {
  readonly #storage = new AsyncLocalStorage<AmbientContext | undefined>()

  /** The context of the code that calls; undefined outside of any. */
  get current(): AmbientContext | undefined {
    return this.#storage.getStore()
  }

  /** Runs `fn` with parts of the context replaced. */
  run<T>(change: Partial<AmbientContext>, fn: () => T): T {
    const { current } = this
    const context: AmbientContext = {
      transaction: current?.transaction,
      locks: current?.locks ?? noLocks,
      holder: current?.holder ?? { held: 0 },
      ...change,
    }
    return this.#storage.run(context, fn)
  }

  /** Runs `fn` as if nothing were open around it. */
  outside<T>(fn: () => T): T {
    return this.#storage.run(undefined, fn)
  }
}

const noLocks: ReadonlyMap<string, HeldLock> = new Map()
