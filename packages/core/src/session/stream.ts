import { limitReached } from '../base/limit.js'
import { beginRefused } from '../errors/begin-refused.js'
import { textEffects } from '../sql/text-effects.js'
import type { StatementConfig } from '../wire/statement.js'
import { askingOf } from './asking.js'
import { sourceOfReads } from './connection-source.js'
import { beginAlone, beginOn } from './controlled-transaction.js'
import { batchesIn, type StreamOptions } from './portal.js'
import type { Bounds, Executor } from './queryable.js'
import type { SessionEnvironment } from './session-environment.js'
import type { ControlledTransaction } from './transaction.js'

/**
 * Batches of rows: inside the transaction that is open around the call, or else in one of its own, which holds a
 * connection until the stream ends or is left. That one is committed however the consumer leaves, as if the statement
 * had run by itself. Inside of `pool.read()` a statement that only reads is streamed from a replica.
 */
export async function* streamBatches<Row>(
  environment: SessionEnvironment,
  config: StatementConfig,
  options?: StreamOptions,
): AsyncGenerator<Row[], void, undefined> {
  const { ambient, cluster, host } = environment
  const open = ambient.current?.transaction
  if (open !== undefined) {
    yield* batchesIn<Row>(open, ambient, config, options)
    return
  }
  if (textEffects(config.text).leavesOpen) throw beginRefused()
  const limit = ambient.limitFor(options)
  // One limit for all attempts.
  const bounds: Bounds = { limitFor: () => limit }
  const asking = askingOf(ambient.current)
  const reads = sourceOfReads(cluster, host, asking, { held: 0, parent: asking.holder }, config.text)
  for (;;) {
    // Asked anew: what a replica has refused is a mere read no more.
    const isRead = reads !== undefined && cluster?.allows(config.text) === true
    const transaction = isRead ? beginOn(reads, environment, { readOnly: true }) : beginAlone(environment)
    const batches = batchesInOwn<Row>(transaction, bounds, config, options)
    let first: IteratorResult<Row[], void>
    try {
      first = await batches.next()
    } catch (error) {
      // Nothing was given yet, so that nobody sees a second attempt.
      if (isRead && limitReached(limit, host.environment.clock) === undefined && reads.again(error)) continue
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
