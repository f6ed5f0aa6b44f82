import { unlimited } from '../../base/limit.js'
import { classify } from '../../errors/classify.js'
import { DeadlockError, LockTimeoutError } from '../../errors/lock-errors.js'
import type { Prelude } from '../../wire/statement.js'
import type { SessionEnvironment } from '../session-environment.js'
import type { Transaction } from '../transaction.js'
import { withTransaction } from '../with-transaction.js'
import type { LockHandle, LockMode } from './held-lock.js'
import type { ServerKey } from './lock-key.js'
import type { CheckedLockOptions, LockOptions } from './lock-options.js'
import { casts, fencingTokenSql, lockTimeout, tokenOf } from './lock-sql.js'

/**
 * A lock of a transaction: the one that is open around the call, or one that is opened for it. It is given back by the
 * end of the transaction and by nothing else, so that nobody enters before what was written under it can be seen.
 * https://www.postgresql.org/docs/18/explicit-locking.html#ADVISORY-LOCKS
 */
export async function withTransactionLock<T>(
  environment: SessionEnvironment,
  keys: readonly ServerKey[],
  fn: (lock: LockHandle) => Promise<T>,
  checked: CheckedLockOptions,
  options: LockOptions,
): Promise<T> {
  const { signal, timeoutMs } = options
  const under = async (tx: Transaction): Promise<T> => await fn(await lockIn(environment, tx, keys, checked))
  const open = environment.ambient.current?.transaction
  // In an open transaction the lock must not be taken in a savepoint of its own: undoing that would give it back.
  if (open !== undefined) return await under(open)
  return await withTransaction(environment, under, { signal, timeoutMs })
}

async function lockIn(
  environment: SessionEnvironment,
  tx: Transaction,
  keys: readonly ServerKey[],
  { mode, waitMs }: CheckedLockOptions,
): Promise<LockHandle> {
  const { clock } = environment.host.environment
  const since = clock.now()
  try {
    // The savepoint is there for a wait that fails, which would otherwise take the whole transaction with it; when it is
    // released the lock stays with the transaction. All of it is one round trip, BEGIN included if it is the first.
    const token = await tx.withTransaction(async () => {
      const inner = environment.ambient.current?.transaction
      if (inner === undefined) throw new Error('bug: a nested transaction is not ambient')
      const ahead = [
        ...boundedBy(waitMs),
        ...keys.map(({ args }): Prelude => ({ text: `select ${nameOf(mode)}(${casts(args, 0)})`, values: args })),
        ...(waitMs === Number.POSITIVE_INFINITY ? [] : [restoreTimeout]),
      ]
      const { rows } = await inner.execute({ text: fencingTokenSql, ahead }, unlimited)
      return tokenOf(rows)
    })
    return {
      // The lock is lost with the transaction alone, and then nothing of it is committed.
      signal: new AbortController().signal,
      fencingToken: token,
      withTransaction: (fn, options) => tx.withTransaction(fn, options),
    }
  } catch (error) {
    const label = keys.map(({ label }) => label).join(', ')
    const kind = classify(error)
    if (kind === 'contended') throw new LockTimeoutError(label, clock.now() - since, { cause: error })
    if (kind === 'deadlock') throw new DeadlockError(label, { cause: error })
    throw error
  }
}

/** Keeps the transaction's own bound on waits, and sets ours. */
function boundedBy(waitMs: number): Prelude[] {
  return waitMs === Number.POSITIVE_INFINITY ? [] : [keepTimeout, ...lockTimeout(waitMs)]
}

const keepTimeout: Prelude = {
  text: "select set_config('lifeguard.lock_timeout', current_setting('lock_timeout'), true)",
}
const restoreTimeout: Prelude = {
  text: "select set_config('lock_timeout', current_setting('lifeguard.lock_timeout'), true)",
}

function nameOf(mode: LockMode): string {
  return mode === 'shared' ? 'pg_advisory_xact_lock_shared' : 'pg_advisory_xact_lock'
}
