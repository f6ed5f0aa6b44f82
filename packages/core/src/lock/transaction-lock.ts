import type { Deadline } from '../deadline/deadline.js'
import { classify } from '../errors/classify.js'
import { DeadlockError, LockTimeoutError } from '../errors/transaction-errors.js'
import { withCallersStack } from '../query/queryable.js'
import { labelOf, type ServerKey } from '../sql/lock-key.js'
import type { SessionEnvironment } from '../transaction/environment.js'
import type { AmbientLock, LockHandle } from '../transaction/held-lock.js'
import { countTransactionTime, lockInTransaction, tokenOf } from '../transaction/lock-sql.js'
import type { Transaction } from '../transaction/transaction.js'
import { withTransaction } from '../transaction/with-transaction.js'
import type { DeadlockWatch } from './deadlock-detector.js'
import type { CheckedLockOptions, LockOptions } from './options.js'

/**
 * A lock of a transaction: the one that is open around the call, or one that is opened for it. It is released by the
 * end of the transaction and by nothing else, so that nobody enters before what was written under it can be seen.
 * https://www.postgresql.org/docs/18/explicit-locking.html#ADVISORY-LOCKS
 *
 * @param keys those that are not held around the call already; `outer` is the lock that holds the others
 */
export async function withTransactionLock<T>(
  environment: SessionEnvironment,
  deadlocks: DeadlockWatch,
  keys: readonly ServerKey[],
  outer: LockHandle | undefined,
  fn: (lock: LockHandle) => Promise<T>,
  checked: CheckedLockOptions,
  options: LockOptions,
): Promise<T> {
  const { ambient, server } = environment
  let running: AbortController | undefined
  const deadline = ambient.deadlineFor(options)
  const under = async (tx: Transaction): Promise<T> => {
    const given = new AbortController()
    running = given
    try {
      const isHeld = keys.length === 0 && outer !== undefined
      const lock = isHeld ? outer : await lockIn(environment, deadlocks, tx, keys, checked, deadline, given.signal)
      const locks = new Map<string, AmbientLock>(ambient.current?.locks)
      for (const { id } of keys) locks.set(id, { kind: 'held', mode: checked.mode, handle: lock })
      return await ambient.run({ locks }, async () => await fn(lock))
    } finally {
      running = undefined
    }
  }
  const open = ambient.current?.transaction
  try {
    // In an open transaction the lock must not be taken in a savepoint of its own: undoing that would release it.
    if (open !== undefined) return await deadline.within(under(open), 'unknown', server.environment)
    const { signal, timeoutMs } = options
    // It is there for the lock alone: `fn` may do other things for as long as it likes.
    return await withTransaction(environment, under, { signal, timeoutMs, idleTimeoutMs: 0 })
  } catch (error) {
    // A callback that still runs hears of it before the caller does.
    running?.abort(error)
    throw error
  }
}

async function lockIn(
  environment: SessionEnvironment,
  deadlocks: DeadlockWatch,
  tx: Transaction,
  keys: readonly ServerKey[],
  { mode, waitMs }: CheckedLockOptions,
  deadline: Deadline,
  signal: AbortSignal,
): Promise<LockHandle> {
  const { ambient, server } = environment
  const { clock } = server.environment
  const label = labelOf(keys)
  const since = clock.now()
  const held = ambient.current?.locks
  // The session would give it a key that it holds for somebody else.
  if (keys.some(({ id }) => held?.get(id)?.kind === 'beside')) {
    throw withCallersStack(new DeadlockError(label, { cause: undefined }))
  }
  const circle = new AbortController()
  const ids = keys.map(({ id }) => id)
  const watched = deadlocks.onServer(ids, new Set(held?.keys()), () => {
    circle.abort(new DeadlockError(label, { cause: undefined }))
  })
  const bounds = deadline.and(circle.signal)
  try {
    // The savepoint is there for a wait that fails, which would otherwise take the whole transaction with it; when it is
    // released the lock stays with the transaction. All of it is one round trip, BEGIN included if it is the first.
    const token = await tx.withTransaction(async () => {
      const inner = ambient.current?.transaction
      if (inner === undefined) throw new Error('bug: a nested transaction is not ambient')
      const { rows } = await inner.execute(lockInTransaction(keys, mode, waitMs, watched.note), bounds)
      return tokenOf(rows)
    })
    return {
      // The lock is lost with the transaction alone, and then nothing of it is committed.
      signal,
      fencingToken: token,
      withTransaction: (fn, options) => tx.withTransaction(fn, options),
    }
  } catch (error) {
    const around = ambient.current?.transaction?.server
    if (around?.connection !== undefined) around.sendAhead(countTransactionTime)
    if (circle.signal.aborted) throw withCallersStack(circle.signal.reason)
    const kind = classify(error)
    if (kind === 'contended') throw withCallersStack(new LockTimeoutError(label, clock.now() - since, { cause: error }))
    if (kind === 'deadlock') throw withCallersStack(new DeadlockError(label, { cause: error }))
    throw withCallersStack(error)
  } finally {
    watched.stop()
  }
}
