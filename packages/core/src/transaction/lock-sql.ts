import { timelineSql } from '../cluster/probe.js'
import type { StatementWithPreludes } from '../connection/command.js'
import type { Connection } from '../connection/connection.js'
import type { Prelude } from '../connection/operation.js'
import { joinedTexts } from '../connection/reported.js'
import { Statement, signOfLife } from '../connection/statement.js'
import { type Deadline, noDeadline } from '../deadline/deadline.js'
import type { ServerKey } from '../sql/lock-key.js'

/** Whether others may hold the lock at the same time: none (`exclusive`), or others that are `shared` as well. */
export type LockMode = 'exclusive' | 'shared'

/** Which grant of a lock this is, in the order of all grants. */
export interface FencingToken {
  /** The server's timeline; a promotion starts a new one. */
  readonly timeline: number
  /** The transaction id that was drawn after the lock had been granted. */
  readonly xid: bigint
}

/** Runs a query of the library's own on whatever session is free for it, and gives its rows. */
export type Ask = (statement: Statement, deadline: Deadline) => Promise<readonly unknown[]>

const tokenColumns = `pg_catalog.pg_current_xact_id()::pg_catalog.text as xid, ${timelineSql} as timeline`

/** The statement that draws a fencing token inside a transaction. */
const fencingTokenSql = `select ${tokenColumns}`

/**
 * The server ends a session that idles for longer than this setting says, and takes its locks. It is kept for whoever has
 * the connection next. PostgreSQL has it since 14.
 * https://www.postgresql.org/docs/18/runtime-config-client.html#GUC-IDLE-SESSION-TIMEOUT
 */
const idleColumns =
  "pg_catalog.current_setting('idle_session_timeout', true) as idle_before, case when pg_catalog.current_setting('idle_session_timeout', true) OPERATOR(pg_catalog.<>) '0' then pg_catalog.set_config('idle_session_timeout', '0', false) end as idle_now"

/** The token of a session that goes on to hold the lock while it idles. */
const sessionTokenSql = `select ${tokenColumns}, ${idleColumns}`

/** Lets a session idle for as long as it likes. */
export const staysIdleSql = `select ${idleColumns}`

/** What the server said to a session that asked for locks. */
export interface SessionAnswer {
  /** Undefined when one of the locks was taken; then none is held. */
  readonly token: FencingToken | undefined
  /** How long the session could idle before, when that was bounded; to be restored with `allowIdle`. */
  readonly idleBefore: string | undefined
}

/** Of a session that has got them all. */
type GrantedAnswer = SessionAnswer & { readonly token: FencingToken }

/** Two locks that differ by the form of their key alone are two locks. */
function casts(args: readonly string[], from: number): string {
  const type = args.length === 1 ? 'pg_catalog.int8' : 'pg_catalog.int4'
  return args.map((_, index) => `$${from + index + 1}::${type}`).join(', ')
}

/**
 * Takes session-level advisory locks without waiting, all in one round trip, and the fencing token after them.
 * https://www.postgresql.org/docs/18/functions-admin.html#FUNCTIONS-ADVISORY-LOCKS
 */
export async function tryLockSession(
  connection: Connection,
  keys: readonly ServerKey[],
  mode: LockMode,
): Promise<SessionAnswer> {
  const name = mode === 'shared' ? 'pg_catalog.pg_try_advisory_lock_shared' : 'pg_catalog.pg_try_advisory_lock'
  const granted: ServerKey[] = []
  const preludes = keys.map(
    (key): Prelude => ({
      text: callOf(name, key.args),
      values: key.args,
      onRow: ([answer]) => {
        if (answer === 't') granted.push(key)
      },
    }),
  )
  try {
    const statement = new Statement({ text: sessionTokenSql }, preludes)
    statement.label = callsOf(name, keys)
    const { rows } = await connection.run(statement, noDeadline)
    const answer = answerOf(rows)
    if (granted.length === keys.length) return answer
    if (granted.length > 0) await unlockSession(connection, granted, mode)
    return { ...answer, token: undefined }
  } catch (error) {
    // Locks of a session are not undone with its statement: what was granted is released, whatever became of the rest.
    if (connection.isAlive) await unlockSession(connection, granted, mode)
    throw error
  }
}

/**
 * Takes session-level advisory locks, all in one round trip. The wait is in the server's queue, bounded by
 * `lock_timeout` for these statements only. `note` is a comment, to be read in pg_stat_activity.
 */
export async function lockSession(
  connection: Connection,
  keys: readonly ServerKey[],
  mode: LockMode,
  waitMs: number,
  note: string,
  deadline: Deadline,
): Promise<GrantedAnswer> {
  const name = mode === 'shared' ? 'pg_catalog.pg_advisory_lock_shared' : 'pg_catalog.pg_advisory_lock'
  const preludes = [{ text: `select ${unbounded}` }, ...lockTheseWithin(keys, waitMs, `${note}select ${name}`)]
  const statement = new Statement({ text: sessionTokenSql }, preludes)
  statement.label = callsOf(name, keys)
  const { rows } = await connection.run(statement, deadline)
  return answerOf(rows)
}

/** What is reported of a statement that takes locks: the calls that take them, and not what goes with them. */
function callsOf(name: string, keys: readonly ServerKey[]): string {
  return joinedTexts(keys.map(({ args }) => callOf(name, args)))
}

function callOf(name: string, args: readonly string[]): string {
  return `select ${name}(${casts(args, 0)})`
}

/**
 * The settings of pool, role and database are about statements that work, not about one that stands in a queue. The last
 * of them ends the session; it is in PostgreSQL since 17, and changing it inside of a transaction counts at once.
 */
const unbounded = `pg_catalog.set_config('statement_timeout', '0', true), pg_catalog.set_config('lock_timeout', '0', true), ${ifKnown("pg_catalog.set_config('transaction_timeout', '0', true)")}`

function ifKnown(call: string): string {
  return `case when pg_catalog.current_setting('transaction_timeout', true) is not null then ${call} end`
}

/** The names under which a transaction keeps its settings while it waits for a lock. */
const kept = (setting: string): string => `lifeguard.${setting}`

function keep(setting: string): string {
  return `pg_catalog.set_config('${kept(setting)}', pg_catalog.current_setting('${setting}'), true)`
}

function restore(setting: string): string {
  return `pg_catalog.set_config('${setting}', pg_catalog.current_setting('${kept(setting)}'), true)`
}

const keepTimeouts: Prelude = {
  text: `select ${keep('statement_timeout')}, ${keep('lock_timeout')}, ${ifKnown(keep('transaction_timeout'))}, ${unbounded}`,
}

/** The time that a transaction may take begins anew: what it has waited does not count. */
const restoreTimeouts: Prelude = {
  text: `select ${restore('statement_timeout')}, ${restore('lock_timeout')}, ${ifKnown(restore('transaction_timeout'))}`,
}

/**
 * The server stops counting the time of a transaction when the setting says so, and starts when the setting says so, but not when it
 * takes the setting back with a savepoint.
 */
export const countTransactionTime: Prelude = {
  text: `select ${ifKnown("pg_catalog.set_config('transaction_timeout', pg_catalog.current_setting('transaction_timeout'), true)")}`,
}

/**
 * Takes locks of the transaction that is open, ahead of its next statement. Only `waitMs` bounds the wait; what the
 * transaction had set for its own statements is as before afterwards.
 */
export function transactionLocks(keys: readonly ServerKey[], mode: LockMode, waitMs: number, note: string): Prelude[] {
  return [keepTimeouts, ...lockTheseWithin(keys, waitMs, `${note}select ${transactionLock(mode)}`), restoreTimeouts]
}

/** The same with the statement that draws the fencing token. */
export function lockInTransaction(
  keys: readonly ServerKey[],
  mode: LockMode,
  waitMs: number,
  note: string,
): StatementWithPreludes {
  const preludes = transactionLocks(keys, mode, waitMs, note)
  const label = callsOf(transactionLock(mode), keys)
  return { kind: 'with-preludes', config: { text: fencingTokenSql }, preludes, label }
}

function transactionLock(mode: LockMode): string {
  return mode === 'shared' ? 'pg_catalog.pg_advisory_xact_lock_shared' : 'pg_catalog.pg_advisory_xact_lock'
}

/** One statement for each key, and between them what bounds the wait for all of them together. */
function lockTheseWithin(keys: readonly ServerKey[], waitMs: number, call: string): Prelude[] {
  return keys.flatMap(({ args }, index) => {
    const lock: Prelude = { text: `${call}(${casts(args, 0)})`, values: args }
    // What the server cannot count, 24 days, is without end.
    if (waitMs > mostMs) return [lock]
    return [index === 0 ? firstTimeout(waitMs) : nextTimeout, lock]
  })
}

/** The longest `lock_timeout`. */
const mostMs = 2 ** 31 - 1

const serverNowMs =
  '((extract(epoch from pg_catalog.clock_timestamp())::pg_catalog.float8) OPERATOR(pg_catalog.*) 1000::pg_catalog.float8)'

/** Bounds the wait for the first key, and notes when all of them must have been granted. 0 would mean no bound at all. */
function firstTimeout(waitMs: number): Prelude {
  return {
    text: `select pg_catalog.set_config('lock_timeout', $1::pg_catalog.text, true), pg_catalog.set_config('lifeguard.lock_until', (${serverNowMs} OPERATOR(pg_catalog.+) $1::pg_catalog.text::pg_catalog.float8)::pg_catalog.text, true)`,
    values: [String(Math.max(1, Math.round(waitMs)))],
  }
}

/** Leaves the next key what the ones before it have not used up. */
const nextTimeout: Prelude = {
  text: `select pg_catalog.set_config('lock_timeout', greatest(1::pg_catalog.float8, pg_catalog.ceil(pg_catalog.current_setting('lifeguard.lock_until')::pg_catalog.float8 OPERATOR(pg_catalog.-) ${serverNowMs}))::pg_catalog.int8::pg_catalog.text, true)`,
}

/** Gives the locks back; false when the session did not hold one of them. */
export async function unlockSession(
  connection: Connection,
  keys: readonly ServerKey[],
  mode: LockMode,
): Promise<boolean> {
  if (keys.length === 0) return true
  const name = mode === 'shared' ? 'pg_catalog.pg_advisory_unlock_shared' : 'pg_catalog.pg_advisory_unlock'
  const values: string[] = []
  const calls = keys.map(({ args }, index) => {
    const call = `${name}(${casts(args, values.length)}) as held_${index}`
    values.push(...args)
    return call
  })
  const { rows } = await connection.run(new Statement({ text: `select ${calls.join(', ')}`, values }), noDeadline)
  return Object.values(rows[0] ?? { none: false }).every((held) => held === true)
}

/** Gives back every lock of a session, whichever of them were granted. */
export async function unlockAll(connection: Connection): Promise<void> {
  await connection.run(new Statement({ text: 'select pg_catalog.pg_advisory_unlock_all()' }), noDeadline)
}

/** Bounds again how long a session may idle. */
export async function allowIdle(connection: Connection, idleBefore: string, deadline: Deadline): Promise<void> {
  const text = "select pg_catalog.set_config('idle_session_timeout', $1::pg_catalog.text, false)"
  await connection.run(new Statement({ text, values: [idleBefore] }), deadline)
}

/** How many advisory locks this session holds, as the server sees it. */
export async function countOwnLocks(connection: Connection, deadline: Deadline): Promise<number> {
  const text =
    "select pg_catalog.count(*)::pg_catalog.int4 as n from pg_catalog.pg_locks where locktype OPERATOR(pg_catalog.=) 'advisory' and granted and pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()"
  const { rows } = await connection.run(signOfLife({ text }), deadline)
  return (rows as { readonly n: number }[])[0]?.n ?? 0
}

/** The token out of the row that `fencingTokenSql` gave. */
export function tokenOf(rows: readonly unknown[]): FencingToken {
  const [row] = rows as { readonly xid: string; readonly timeline: number }[]
  if (row === undefined) throw new Error('bug: the fencing token has no row')
  return { timeline: row.timeline, xid: BigInt(row.xid) }
}

function answerOf(rows: readonly unknown[]): GrantedAnswer {
  const [row] = rows as { readonly idle_before: string | null }[]
  const idle = row?.idle_before
  return { token: tokenOf(rows), idleBefore: idle === '0' || idle === null ? undefined : idle }
}
