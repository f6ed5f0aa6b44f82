import { type Limit, unlimited } from '../base/limit.js'
import type { Connection } from '../wire/connection.js'
import { type Prelude, Statement } from '../wire/statement.js'
import type { FencingToken, LockMode } from './held-lock.js'
import type { ServerKey } from './lock-key.js'

/** The timeline is the first part of the name of the file that the server would write to now. */
const tokenSql =
  "select pg_current_xact_id()::text as xid, ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int as timeline"

/**
 * Takes session-level advisory locks, all in one round trip, and the fencing token behind them. The wait is in the
 * server's queue, bounded by `lock_timeout` for these statements only.
 * https://www.postgresql.org/docs/18/functions-admin.html#FUNCTIONS-ADVISORY-LOCKS
 */
export async function lockSession(
  connection: Connection,
  keys: readonly ServerKey[],
  mode: LockMode,
  waitMs: number,
  limit: Limit,
): Promise<FencingToken> {
  const preludes: Prelude[] = []
  if (waitMs !== Number.POSITIVE_INFINITY) {
    // Local to the implicit transaction of this round trip. 0 would mean no bound at all.
    const value = String(Math.max(1, Math.round(waitMs)))
    preludes.push({ text: "select set_config('lock_timeout', $1, true)", values: [value] })
  }
  const name = mode === 'shared' ? 'pg_advisory_lock_shared' : 'pg_advisory_lock'
  for (const { args } of keys) preludes.push({ text: `select ${name}(${casts(args, 0)})`, values: args })
  const { rows } = await connection.run(new Statement({ text: tokenSql }, preludes), limit)
  const [row] = rows as { readonly xid: string; readonly timeline: number }[]
  if (row === undefined) throw new Error('bug: the fencing token has no row')
  return { timeline: row.timeline, xid: BigInt(row.xid) }
}

/** Gives the locks back; false when the session did not hold one of them. */
export async function unlockSession(
  connection: Connection,
  keys: readonly ServerKey[],
  mode: LockMode,
): Promise<boolean> {
  const name = mode === 'shared' ? 'pg_advisory_unlock_shared' : 'pg_advisory_unlock'
  const values: string[] = []
  const calls = keys.map(({ args }) => {
    const call = `${name}(${casts(args, values.length)})`
    values.push(...args)
    return call
  })
  const { rows } = await connection.run(
    new Statement({ text: `select ${calls.join(' and ')} as held`, values }),
    unlimited,
  )
  return (rows as { readonly held: boolean }[])[0]?.held === true
}

/** Gives back every lock of a session, whichever of them were granted. */
export async function unlockAll(connection: Connection): Promise<void> {
  await connection.run(new Statement({ text: 'select pg_advisory_unlock_all()' }), unlimited)
}

function casts(args: readonly string[], from: number): string {
  const type = args.length === 1 ? 'bigint' : 'int'
  return args.map((_, index) => `$${from + index + 1}::${type}`).join(', ')
}
