import type { OperationOptions } from '../base/limit.js'
import { type ConnectionSource, fromPool } from './connection-source.js'
import { commitFollower } from './follow-commit.js'
import { assertFits } from './nested-options.js'
import { commitProven } from './prove-commit.js'
import type { Executor } from './queryable.js'
import { ServerTransaction } from './server-transaction.js'
import type { SessionEnvironment } from './session-environment.js'
import type { ControlledTransaction } from './transaction.js'
import { TransactionByHand } from './transaction-by-hand.js'
import {
  assertTransactionOptions,
  type BeginOptions,
  beginPreludes,
  type CommitOptions,
  commitProof,
  controlledNames,
} from './transaction-options.js'

/** How a controlled transaction begins, and how long it may live. */
export interface ControlledTransactionOptions extends BeginOptions, CommitOptions, OperationOptions {}

/**
 * Inside the transaction that is open around the call a savepoint; elsewhere a transaction on its own connection.
 *
 * @param inTurn what else is asked of the transaction around it waits, and is no part of the savepoint
 */
export async function beginTransaction(
  environment: SessionEnvironment,
  options: ControlledTransactionOptions = {},
  inTurn = false,
): Promise<ControlledTransaction> {
  assertTransactionOptions(options, controlledNames)
  const open = environment.ambient.current?.transaction
  if (open === undefined) return beginAlone(environment, options)
  assertFits(options, open)
  return await open.begin(options, inTurn)
}

/** On a connection of its own, whatever is open around. It is not ambient. */
export function beginAlone(
  environment: SessionEnvironment,
  options?: ControlledTransactionOptions,
  isForOne = false,
): ControlledTransaction & Executor {
  const { ambient, cluster, host } = environment
  const source = fromPool(host, { held: 0, parent: ambient.current?.holder }, cluster)
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
  options: ControlledTransactionOptions = {},
  isForOne = false,
): ControlledTransaction & Executor {
  assertTransactionOptions(options, controlledNames)
  const { ambient: bounds, host } = environment
  const { clock } = host.environment
  const proof = commitProof(options, clock)
  const preludes = beginPreludes(options, proof)
  const follower = commitFollower(environment, options)
  const server = new ServerTransaction(source, clock, preludes, bounds.limitFor(options), undefined, follower)
  server.reportsItsEnd = !isForOne
  return new TransactionByHand(bounds, {
    execute: (config, limit) => server.query(config, limit),
    commit: async () => {
      await server.settled()
      await commitProven(server, proof, environment)
    },
    rollback: () => server.rollback(),
  })
}
