import type { OperationOptions } from '../deadline/deadline.js'
import { Operations } from '../query/operations.js'
import type { AmbientBounds, Executor } from '../query/queryable.js'
import { commitFollower, commitProven } from './commit.js'
import { type ConnectionSource, fromPool } from './connection-source.js'
import type { SessionEnvironment } from './environment.js'
import { assertFits } from './join.js'
import {
  assertTransactionOptions,
  type BeginOptions,
  beginPreludes,
  type CommitOptions,
  commitProof,
  manualNames,
} from './options.js'
import { ServerTransaction } from './server-transaction.js'
import type { ManualTransaction } from './transaction.js'

/** A transaction, or a savepoint, as the one sees it who ends it. */
export class OpenManualTransaction extends Operations implements ManualTransaction {
  override readonly execute: Executor['execute']
  readonly commit: ManualTransaction['commit']
  readonly rollback: ManualTransaction['rollback']

  constructor(
    bounds: AmbientBounds,
    { execute, commit, rollback }: Pick<OpenManualTransaction, 'execute' | 'commit' | 'rollback'>,
  ) {
    super(bounds)
    this.execute = execute
    this.commit = commit
    this.rollback = rollback
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.rollback()
  }
}

/** How a manual transaction begins, and how long it may live. */
export interface ManualTransactionOptions extends BeginOptions, CommitOptions, OperationOptions {}

/**
 * Inside the transaction that is open around the call a savepoint; elsewhere a transaction on its own connection.
 *
 * @param inTurn what else is asked of the transaction around it waits, and is no part of the savepoint
 */
export async function beginTransaction(
  environment: SessionEnvironment,
  options: ManualTransactionOptions = {},
  inTurn = false,
): Promise<ManualTransaction> {
  assertTransactionOptions(options, manualNames)
  const open = environment.ambient.current?.transaction
  if (open === undefined) return beginAlone(environment, options)
  assertFits(options, open)
  return await open.begin(options, inTurn)
}

/** On a connection of its own, whatever is open around. It is not ambient. */
export function beginAlone(
  environment: SessionEnvironment,
  options?: ManualTransactionOptions,
  isForOne = false,
): ManualTransaction & Executor {
  const { ambient, cluster, server } = environment
  const source = fromPool(server, { held: 0, parent: ambient.current?.holder }, cluster)
  return beginOn(source, environment, options, isForOne)
}

/**
 * Begins, with the first statement, on a connection of this source.
 *
 * @param isForOne whether it is there for the sake of one statement, so that its own COMMIT or ROLLBACK is not reported
 */
export function beginOn(
  source: ConnectionSource,
  environment: SessionEnvironment,
  options: ManualTransactionOptions = {},
  isForOne = false,
): ManualTransaction & Executor {
  assertTransactionOptions(options, manualNames)
  const { ambient: bounds, server } = environment
  const { clock } = server.environment
  const proof = commitProof(options, clock)
  const preludes = beginPreludes(options, proof)
  const follower = commitFollower(environment, options)
  const transaction = new ServerTransaction(source, clock, preludes, bounds.deadlineFor(options), undefined, follower)
  transaction.reportsItsEnd = !isForOne
  return new OpenManualTransaction(bounds, {
    execute: (command, deadline) => transaction.query(command, deadline),
    commit: async () => {
      await transaction.settled()
      await commitProven(transaction, proof, environment)
    },
    rollback: () => transaction.rollback(),
  })
}
