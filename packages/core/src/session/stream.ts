import type { StatementConfig } from '../wire/statement.js'
import { beginAlone } from './controlled-transaction.js'
import { batchesIn, type StreamOptions } from './portal.js'
import type { Bounds, Executor } from './queryable.js'
import type { SessionEnvironment } from './session-environment.js'
import type { ControlledTransaction } from './transaction.js'

/**
 * Batches of rows: inside the transaction that is open around the call, or else in one of its own, which holds a
 * connection until the stream ends or is left. That one is committed however the consumer leaves, as if the statement
 * had run by itself.
 */
export async function* streamBatches<Row>(
  environment: SessionEnvironment,
  config: StatementConfig,
  options?: StreamOptions,
): AsyncGenerator<Row[], void, undefined> {
  const { ambient } = environment
  const open = ambient.current?.transaction
  if (open !== undefined) {
    yield* batchesIn<Row>(open, ambient, config, options)
    return
  }
  yield* batchesInOwn<Row>(beginAlone(environment), ambient, config, options)
}

/** In a transaction that is there for the stream alone, and ends with it. */
export async function* batchesInOwn<Row>(
  transaction: ControlledTransaction & Executor,
  bounds: Bounds,
  config: StatementConfig,
  options?: StreamOptions,
): AsyncGenerator<Row[], void, undefined> {
  let rolledBack = false
  try {
    yield* batchesIn<Row>(transaction, bounds, config, options)
  } catch (error) {
    rolledBack = true
    await transaction.rollback()
    throw error
  } finally {
    // Also reached when the consumer breaks off, which is no failure.
    if (!rolledBack) await transaction.commit()
  }
}
