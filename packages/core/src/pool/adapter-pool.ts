import type { ExchangeConfig } from '../connection/exchange.js'
import type { QueryResult } from '../connection/result.js'
import type { StatementConfig } from '../connection/statement.js'
import type { Limit } from '../deadline/deadline.js'
import type { ManualTransactionOptions } from '../transaction/manual-transaction.js'
import type { IsolationLevel } from '../transaction/options.js'
import type { ManualTransaction, Transaction } from '../transaction/transaction.js'

/** What adapters of ORMs need of a pool beyond what everybody does. */
export interface AdapterSeam {
  /** The form of `query` for adapters: one object, absolute limits, and no work on the stack of errors. @internal */
  execute(config: StatementConfig | ExchangeConfig, limit: Limit): Promise<QueryResult>

  /**
   * Stands for what is open around the code that runs now, transaction, deadline and all; undefined outside of any. For
   * adapters of ORMs that collect calls: those of two contexts must never be sent as one. @internal
   */
  readonly context: object | undefined

  /**
   * Whether a text is one statement that only reads, by the rule of this pool: it needs nothing of its session, leaves
   * nothing there, and may go to a replica inside `read`. For adapters. @internal
   */
  isReadOnly(text: string): boolean

  /**
   * Runs `fn`, in which one transaction that an ORM begins stands for `transaction`, which the core begins, retries and
   * commits. @internal
   */
  adopting<T>(transaction: Transaction, fn: () => Promise<T>): Promise<T>

  /**
   * Ends the session of this process id on the primary, over a connection beside the pool: whoever holds the session may
   * be the one who waits. @internal
   */
  terminateSession(pid: number): Promise<void>

  /**
   * Like `beginTransaction`, for a transaction that an ORM begins and ends by itself, with no code of its caller's in
   * between: inside of another one all else waits until it is over, and is not undone with it. @internal
   */
  beginInTurn(options?: ManualTransactionOptions): Promise<ManualTransaction>

  /** The isolation that the transaction around this code was begun with, undefined when none was asked for. @internal */
  readonly openIsolation: IsolationLevel | undefined

  /**
   * Refuses a text that begins or ends a transaction, for adapters that run it in one that the core ends.
   *
   * @throws InvalidArgumentError
   * @internal
   */
  assertNoControl(text: string): void

  /** Notes that an error is this pool's: its helpers judge no other. The same error. @internal */
  own<E>(error: E): E

  /**
   * Refuses a text that begins a transaction and leaves it open, for adapters that have run it by itself.
   *
   * @throws InvalidArgumentError
   * @internal
   */
  assertEndsWhatItBegins(text: string): void

  /** The transaction to adopt, once; undefined when the ORM is to begin one of its own. @internal */
  takeAdopted(): Transaction | undefined
}
