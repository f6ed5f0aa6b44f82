import type { RoutingContext } from '../cluster/servers.js'
import { FetchedStatement } from '../connection/portal.js'
import type { StatementConfig } from '../connection/statement.js'
import type { Clock } from '../deadline/clock.js'
import { beginRefused } from '../errors/operation-errors.js'
import { TransactionClosedError } from '../errors/transaction-errors.js'
import { type CallerContext, callerContext } from '../observe/context.js'
import type { Bounds, Executor } from '../query/queryable.js'
import { assertStreamOptions, batchesIn, type StreamOptions } from '../query/stream.js'
import { sqlText } from '../sql/sql-text.js'
import { sourceOfReads } from '../transaction/connection-source.js'
import { type Ambient, type OpenTransaction, routingContextOf } from '../transaction/context.js'
import type { SessionEnvironment } from '../transaction/environment.js'
import { endedError } from '../transaction/join.js'
import { beginAlone, beginOn } from '../transaction/manual-transaction.js'
import type { ManualTransaction } from '../transaction/transaction.js'
import { executeJoined } from './execute.js'

/**
 * Batches of rows: inside the transaction that is open around the call, or else in one of its own, which holds a
 * connection until the stream ends. That one is committed however the consumer ends the stream, as if the statement had run
 * by itself. Inside of `pool.read()` a statement that only reads is streamed from a replica.
 *
 * The transaction is that of the call, and not that of the code that reads the first row: a stream of a transaction is
 * never read with the rights of another one, nor without those of its own.
 */
export function streamBatches<Row>(
  environment: SessionEnvironment,
  config: StatementConfig,
  options?: StreamOptions,
): AsyncGenerator<Row[], void, undefined> {
  const { ambient } = environment
  const around = ambient.current
  const open = around?.transaction
  // The deadline around the call holds, and that around the code that reads.
  const bounds = ambient.fromHere()
  if (open !== undefined) {
    return batchesJoined<Row>(ambient, open, bounds, config, new FetchedStatement(config), options)
  }
  return batchesOutside<Row>(environment, routingContextOf(around), bounds, config, callerContext(), options)
}

/** In the transaction that the stream was made in. */
async function* batchesJoined<Row>(
  ambient: Ambient,
  open: OpenTransaction,
  bounds: Bounds,
  config: StatementConfig,
  whole: FetchedStatement,
  options: StreamOptions | undefined,
): AsyncGenerator<Row[], void, undefined> {
  // Only the first read is checked: later ones may come from a socket that wants more.
  assertWithin(ambient, open)
  yield* batchesIn<Row>(open, bounds, config, whole, options)
}

/** @throws when the code that reads is not inside of the transaction */
function assertWithin(ambient: Ambient, open: OpenTransaction): void {
  if (open.isOver) throw endedError(open)
  if (ambient.current?.transaction?.isWithin(open) !== true) throw new TransactionClosedError(readElsewhere)
}

/** For what is asked of the pool here and begun later, by the code that reads: runs it where it was asked for, or not at all. */
export function executorFromHere(environment: SessionEnvironment): Executor {
  const { ambient } = environment
  const open = ambient.current?.transaction
  if (open === undefined) {
    return {
      execute: (command, deadline) =>
        ambient.run({ transaction: undefined }, () => executeJoined(environment, command, deadline)),
    }
  }
  return {
    async execute(command, deadline) {
      assertWithin(ambient, open)
      return await open.execute(command, deadline)
    },
  }
}

const readElsewhere = 'for the code that reads: what is streamed inside of a transaction is read inside of it'

/** In a transaction of its own, also where another one is open around the code that reads. */
async function* batchesOutside<Row>(
  environment: SessionEnvironment,
  asking: RoutingContext,
  atCall: Bounds,
  config: StatementConfig,
  caller: CallerContext | undefined,
  options: StreamOptions | undefined,
): AsyncGenerator<Row[], void, undefined> {
  const { ambient, cluster, server } = environment
  const { clock } = server.environment
  if (sqlText(config.text).effects.leavesOpen) throw beginRefused()
  assertStreamOptions(options)
  const deadline = atCall.deadlineFor(options)
  // One deadline for all attempts.
  const bounds: Bounds = { deadlineFor: () => deadline }
  // The code that reads is what waits, with all that it holds.
  const parent = ambient.current?.holder
  const reads = sourceOfReads(cluster, server, asking, { held: 0, parent }, config.text)
  for (;;) {
    // Asked again for each attempt: a statement that a replica has refused is no longer taken for a read.
    const isRead = reads !== undefined && cluster?.allows(config.text) === true
    const transaction = isRead
      ? beginOn(reads, environment, { readOnly: true }, true)
      : beginAlone(environment, {}, true)
    const batches = batchesInOwn<Row>(transaction, bounds, config, new FetchedStatement(config, caller), options, clock)
    let first: IteratorResult<Row[], void>
    try {
      first = await batches.next()
    } catch (error) {
      // No row was given yet, so that nobody sees a second attempt.
      if (isRead && deadline.reached() === undefined && reads.again(error)) continue
      throw error
    }
    try {
      if (first.done === true) return
      yield first.value
      yield* batches
    } finally {
      await batches.return()
    }
    return
  }
}

/**
 * In a transaction that is there for the stream alone, and ends with it; what ends it is no statement to be reported.
 *
 * @param clock where its connection is there for it alone, too: then it asks ahead
 */
export async function* batchesInOwn<Row>(
  transaction: ManualTransaction & Executor,
  bounds: Bounds,
  config: StatementConfig,
  whole: FetchedStatement,
  options?: StreamOptions,
  clock?: Clock,
): AsyncGenerator<Row[], void, undefined> {
  let rolledBack = false
  try {
    yield* batchesIn<Row>(transaction, bounds, config, whole, options, { clock })
  } catch (error) {
    rolledBack = true
    await transaction.rollback()
    throw error
  } finally {
    try {
      // Also reached when the consumer breaks off, which is no failure.
      if (!rolledBack) await whole.orFails(transaction.commit())
    } finally {
      whole.over()
    }
  }
}
