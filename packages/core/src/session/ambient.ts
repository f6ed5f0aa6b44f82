import { AsyncLocalStorage } from 'node:async_hooks'
import type { Clock } from '../base/clock.js'
import { type Limit, type OperationOptions, tighter, unlimited } from '../base/limit.js'
import type { Causality } from '../cluster/causality.js'
import type { ReadScope } from '../cluster/read-scope.js'
import { operationLimit } from '../errors/operation-limit.js'
import type { Holder } from '../pool/waiter.js'
import type { ExchangeConfig } from '../wire/exchange.js'
import type { ForeignConfig } from '../wire/foreign-statement.js'
import type { QueryResult } from '../wire/query-result.js'
import type { AheadConfig, StatementConfig } from '../wire/statement.js'
import type { HeldLock } from './lock/held-lock.js'
import type { AmbientBounds, Bounds } from './queryable.js'
import type { ServerTransaction } from './server-transaction.js'
import type { StatementCollector } from './statement-collector.js'
import type { ControlledTransaction, Transaction } from './transaction.js'
import type { BeginOptions } from './transaction-options.js'

/** A level of a transaction that is open around some code, as the code that joins it sees it. */
export interface OpenTransaction extends Transaction {
  readonly isOver: boolean
  /** How the outermost level began. */
  readonly begun: BeginOptions
  execute(config: StatementConfig | AheadConfig | ExchangeConfig | ForeignConfig, limit: Limit): Promise<QueryResult>
  /** The transaction on the server that this is a level of. */
  readonly server: ServerTransaction
  /** A savepoint that is ended by hand. */
  begin(options?: OperationOptions, inTurn?: boolean): Promise<ControlledTransaction>
  /** Whether this is that level, or one nested in it. */
  isWithin(other: OpenTransaction): boolean
}

/** A transaction that the next one of an ORM in this context is to be, in place of a new one. */
export interface Adoption {
  readonly transaction: Transaction
  taken: boolean
}

/**
 * What is open around the code that runs now: a transaction that queries join, locks that are already held, and the
 * number of connections that this line of work has taken out of the pool.
 */
export interface AmbientContext {
  readonly transaction: OpenTransaction | undefined
  readonly locks: ReadonlyMap<string, HeldLock>
  /** What a deadline around this code still allows. */
  readonly limit: Limit
  /** The innermost work around this code that may hold connections: what waits for one is found by it. */
  readonly holder: Holder | undefined
  /** What this line of work has written, so that its reads show it. */
  readonly causality: Causality | undefined
  /** How far behind reads may be in here; undefined where everything belongs to the primary. */
  readonly reading: ReadScope | undefined
  /** What an ORM is to take for the transaction that it begins in here. */
  readonly adoption: Adoption | undefined
  /** Where statements are taken to instead of to a server, while a batch is being put together. */
  readonly collecting: StatementCollector | undefined
}

/**
 * The ambient context of one pool. It follows the asynchronous flow of the code, so that every ORM on the pool runs in
 * the open transaction without being told. https://nodejs.org/api/async_context.html
 */
export class Ambient implements AmbientBounds {
  readonly #storage = new AsyncLocalStorage<AmbientContext | undefined>()
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The context of the code that calls; undefined outside of any. */
  get current(): AmbientContext | undefined {
    return this.#storage.getStore()
  }

  /** The bounds of an operation that begins here: its own options, and the deadline around it. */
  limitFor(options: OperationOptions | undefined): Limit {
    const own = operationLimit(options, this.#clock)
    const around = this.#storage.getStore()?.limit
    return around === undefined ? own : tighter(own, around)
  }

  /** The deadline around the code that calls now, for what somebody else begins later: it holds beside that around him. */
  fromHere(): Bounds {
    const around = this.#storage.getStore()?.limit
    return around === undefined ? this : { limitFor: (options) => tighter(this.limitFor(options), around) }
  }

  /** Runs `fn` with parts of the context replaced. */
  run<T>(change: Partial<AmbientContext>, fn: () => T): T {
    const { current } = this
    const context: AmbientContext = {
      transaction: current?.transaction,
      locks: current?.locks ?? noLocks,
      limit: current?.limit ?? unlimited,
      holder: current?.holder,
      causality: current?.causality,
      reading: current?.reading,
      adoption: current?.adoption,
      collecting: current?.collecting,
      ...change,
    }
    return this.#storage.run(context, fn)
  }

  /**
   * Runs `fn` in no context of this pool at all: for what outlives its caller, such as elections, subscriptions, watches,
   * timers and the opening of connections. Nothing of the caller's transaction, locks, deadline, reads or batch is left.
   */
  exit<T>(fn: () => T): T {
    return this.#storage.run(undefined, fn)
  }
}

const noLocks: ReadonlyMap<string, HeldLock> = new Map()
