import type { QueryResult } from '../connection/result.js'
import type { StatementConfig } from '../connection/statement.js'
import type { Deadline } from '../deadline/deadline.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import { beginRefused } from '../errors/operation-errors.js'
import { ownedBy } from '../errors/origin.js'
import { refusal } from '../pg-compat/pg-session.js'
import { terminateSession } from '../server/run-exclusive.js'
import { isReadOnlyText } from '../sql/read-rule.js'
import { sqlText } from '../sql/sql-text.js'
import { adopting, claimAdopted } from '../transaction/context.js'
import type { SessionEnvironment } from '../transaction/environment.js'
import { beginTransaction, type ManualTransactionOptions } from '../transaction/manual-transaction.js'
import type { IsolationLevel } from '../transaction/options.js'
import type { ManualTransaction, Transaction } from '../transaction/transaction.js'
import { executeJoined } from './execute.js'
import type { Pool } from './pool.js'

/** What adapters of ORMs need of a pool beyond what everybody does. */
export interface AdapterPool {
  /** The pool itself. */
  readonly pool: Pool

  /** The form of `query` for adapters: one object, absolute limits, and no work on the stack of errors. */
  execute(config: StatementConfig, deadline: Deadline): Promise<QueryResult>

  /**
   * Stands for what is open around the code that runs now, transaction, deadline and all; undefined outside of any. For
   * adapters of ORMs that collect calls: those of two contexts must never be sent as one.
   */
  readonly context: object | undefined

  /**
   * Whether SQL text is one statement that only reads, by the rule of this pool: it needs nothing of its session, changes
   * nothing there, and may go to a replica inside `read`.
   */
  isReadOnly(text: string): boolean

  /**
   * Runs `fn`, in which one transaction that an ORM begins stands for `transaction`, which the core begins, retries and
   * commits.
   */
  adopting<T>(transaction: Transaction, fn: () => Promise<T>): Promise<T>

  /** The transaction to adopt, once; undefined when the ORM is to begin one of its own. */
  takeAdopted(): Transaction | undefined

  /**
   * Like `beginTransaction`, for a transaction that an ORM begins and ends by itself, with no code of its caller's in
   * between: inside of another one all else waits until it is over, and is not undone with it.
   */
  beginInTurn(options?: ManualTransactionOptions): Promise<ManualTransaction>

  /** The isolation that the transaction around this code was begun with, undefined when none was asked for. */
  readonly openIsolation: IsolationLevel | undefined

  /**
   * Refuses SQL text that begins or ends a transaction, for adapters that run it in one that the core ends.
   *
   * @throws InvalidArgumentError
   */
  assertNoControl(text: string): void

  /**
   * Refuses SQL text that begins a transaction and does not end it, for adapters that have run it by itself.
   *
   * @throws InvalidArgumentError
   */
  assertEndsWhatItBegins(text: string): void

  /**
   * Ends the session of this process id on the primary, over a connection beside the pool: the one who waits may hold the
   * session itself.
   */
  terminateSession(pid: number): Promise<void>

  /** Notes that an error is this pool's: its helpers judge no other. The same error. */
  own<E>(error: E): E
}

/** The property of a pool that has it. Known to every copy of this package: an adapter may have been installed with one of its own. */
export const forAdapters = Symbol.for('@pg-lifeguard/core:adapter-pool')

/** A pool that has it. */
export interface Adaptable {
  readonly [forAdapters]: AdapterPool | undefined
}

/**
 * The part of a pool that only adapters use: the same object at every call.
 *
 * @throws InvalidArgumentError for what is no pool of Lifeguard, such as a `pg.Pool` or a URL
 */
export function adapterPool(pool: Pool): AdapterPool {
  const found = (pool as Partial<Adaptable> | null | undefined)?.[forAdapters]
  if (found !== undefined) return found
  const given = pool === null ? 'null' : `of type ${typeof pool}`
  throw new InvalidArgumentError('pool', given, 'a pool made by createPool()')
}

/** Makes the part of a pool that only adapters use. */
export function createAdapterPool(pool: Pool, environment: SessionEnvironment): AdapterPool {
  const { ambient, cluster, server } = environment
  return {
    pool,
    execute: (config, deadline) => executeJoined(environment, { kind: 'statement', config }, deadline),
    get context() {
      return ambient.current
    },
    isReadOnly: (text) => cluster?.allows(text) ?? isReadOnlyText(text),
    adopting: (transaction, fn) => adopting(ambient, transaction, fn),
    takeAdopted: () => claimAdopted(ambient),
    beginInTurn: (options) => beginTransaction(environment, options, true),
    get openIsolation() {
      return ambient.current?.transaction?.begun.isolation
    },
    assertNoControl(text) {
      const { control } = sqlText(text)
      if (control !== undefined) throw refusal(control.kind)
    },
    assertEndsWhatItBegins(text) {
      if (sqlText(text).effects.leavesOpen) throw beginRefused()
    },
    terminateSession: (pid) => terminateSession(server, pid),
    own: (error) => ownedBy(error, server.environment),
  }
}
