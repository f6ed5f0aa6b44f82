import { type Limit, unlimited } from '../../base/limit.js'
import type { Connection } from '../../wire/connection.js'
import { type Prelude, Statement } from '../../wire/statement.js'
import type { FencingToken, LockMode } from './held-lock.js'
import type { ServerKey } from './lock-key.js'

/** The timeline is the first part of the name of the file that the server would write to now. */
const tokenSql =
  "select pg_current_xact_id()::text as xid, ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int as timeline"

/** Two locks that differ by the form of their key alone are two locks. */
export function casts(args: readonly string[], from: number): string {
  const type = args.length === 1 ? 'bigint' : 'int'
  return args.map((_, index) => `$${from + index + 1}::${type}`).join(', ')
}

/**
 * Takes session-level advisory locks without waiting, all in one round trip, and the fencing token behind them.
 * Undefined when one of them was taken; then none is held.
 * https://www.postgresql.org/docs/18/functions-admin.html#FUNCTIONS-ADVISORY-LOCKS
 */
export async function tryLockSession(
  connection: Connection,
  keys: readonly ServerKey[],
  mode: LockMode,
): Promise<FencingToken | undefined> {
  const name = mode === 'shared' ? 'pg_try_advisory_lock_shared' : 'pg_try_advisory_lock'
  const granted: ServerKey[] = []
  const preludes = keys.map(
    (key): Prelude => ({
      text: `select ${name}(${casts(key.args, 0)})`,
      values: key.args,
      onRow: ([answer]) => {
        if (answer === 't') granted.push(key)
      },
    }),
  )
  try {
    const { rows } = await connection.run(new Statement({ text: tokenSql }, preludes), unlimited)
    if (granted.length === keys.length) return tokenOf(rows)
  } catch (error) {
    // Locks of a session are not undone with its statement: what was granted is given back, whatever became of the rest.
    if (connection.isAlive) await unlockSession(connection, granted, mode)
    throw error
  }
  if (granted.length > 0) await unlockSession(connection, granted, mode)
  return undefined
}

/**
 * Takes session-level advisory locks, all in one round trip. The wait is in the server's queue, bounded by
 * `lock_timeout` for these statements only. `note` is a comment for whoever looks at what waits.
 */
export async function lockSession(
  connection: Connection,
  keys: readonly ServerKey[],
  mode: LockMode,
  waitMs: number,
  note: string,
  limit: Limit,
): Promise<FencingToken> {
  const name = mode === 'shared' ? 'pg_advisory_lock_shared' : 'pg_advisory_lock'
  const preludes = [
    // The settings of the pool are about statements that work, not about one that stands in a queue.
    { text: "select set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true)" },
    ...lockTheseWithin(keys, waitMs, `${note}select ${name}`),
  ]
  const { rows } = await connection.run(new Statement({ text: tokenSql }, preludes), limit)
  return tokenOf(rows)
}

/** One statement for each key, and between them what bounds the wait for all of them together. */
export function lockTheseWithin(keys: readonly ServerKey[], waitMs: number, call: string): Prelude[] {
  return keys.flatMap(({ args }, index) => {
    const lock: Prelude = { text: `${call}(${casts(args, 0)})`, values: args }
    if (waitMs === Number.POSITIVE_INFINITY) return [lock]
    return [index === 0 ? firstTimeout(waitMs) : nextTimeout, lock]
  })
}

/** Bounds the wait for the first key, and notes when all of them must have been granted. 0 would mean no bound at all. */
function firstTimeout(waitMs: number): Prelude {
  return {
    text: "select set_config('lock_timeout', $1, true), set_config('lifeguard.lock_until', (extract(epoch from clock_timestamp()) * 1000 + $1::float8)::text, true)",
    values: [String(Math.max(1, Math.round(waitMs)))],
  }
}

/** Leaves the next key what the ones before it have not used up. */
const nextTimeout: Prelude = {
  text: "select set_config('lock_timeout', greatest(1, ceil(current_setting('lifeguard.lock_until')::float8 - extract(epoch from clock_timestamp()) * 1000))::bigint::text, true)",
}

/** Gives the locks back; false when the session did not hold one of them. */
export async function unlockSession(
  connection: Connection,
  keys: readonly ServerKey[],
  mode: LockMode,
): Promise<boolean> {
  if (keys.length === 0) return true
  const name = mode === 'shared' ? 'pg_advisory_unlock_shared' : 'pg_advisory_unlock'
  const values: string[] = []
  const calls = keys.map(({ args }, index) => {
    const call = `${name}(${casts(args, values.length)}) as held_${index}`
    values.push(...args)
    return call
  })
  const { rows } = await connection.run(new Statement({ text: `select ${calls.join(', ')}`, values }), unlimited)
  return Object.values(rows[0] ?? { none: false }).every((held) => held === true)
}

/** Gives back every lock of a session, whichever of them were granted. */
export async function unlockAll(connection: Connection): Promise<void> {
  await connection.run(new Statement({ text: 'select pg_advisory_unlock_all()' }), unlimited)
}

/** How many advisory locks this session holds, as the server sees it. */
export async function countOwnLocks(connection: Connection, limit: Limit): Promise<number> {
  const text =
    "select count(*)::int as n from pg_locks where locktype = 'advisory' and granted and pid = pg_backend_pid()"
  const { rows } = await connection.run(new Statement({ text }), limit)
  return (rows as { readonly n: number }[])[0]?.n ?? 0
}

/** The statement that draws a fencing token inside a transaction. */
export const fencingTokenSql = tokenSql

/** The token out of the row that `fencingTokenSql` gave. */
export function tokenOf(rows: readonly unknown[]): FencingToken {
  const [row] = rows as { readonly xid: string; readonly timeline: number }[]
  if (row === undefined) throw new Error('bug: the fencing token has no row')
  return { timeline: row.timeline, xid: BigInt(row.xid) }
}
