import type { Connection } from '../connection/connection.js'
import { Statement } from '../connection/statement.js'
import type { Deadline } from '../deadline/deadline.js'
import { classify } from '../errors/classify.js'
import { sqlStateOf } from '../errors/sqlstate.js'
import { endOfLastRecord, formatLsn, type Lsn, parseLsn } from './replica-lag.js'

/** What a server said of itself at some moment. */
export interface ServerStatus {
  /** When it was asked. */
  readonly askedAt: number
  /** Whether it follows another server, and takes no writes. */
  readonly standby: boolean
  /** Undefined when the server does not report it. */
  readonly timeline: number | undefined
  /**
   * The number that its database system got when it was made, and that its copies have; another one after `pg_upgrade`.
   * Undefined when the server does not report it.
   */
  readonly system: string | undefined
  /**
   * A standby: up to where it has replayed. A primary: the end of what it has written. Undefined when the server does not
   * report it, or has replayed nothing yet: then nobody knows what it shows.
   */
  readonly lsn: Lsn | undefined
}

/** The timeline of a primary is the first part of the name of the file that it would write to now. */
export const timelineSql =
  "('x' OPERATOR(pg_catalog.||) pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8))::pg_catalog.bit(32)::pg_catalog.int4"

/**
 * The timeline of a standby is that of its last restart point, or of the stream that it receives, whichever is later: the
 * first may be old by some minutes, the second is hidden from a role without pg_read_all_stats.
 * https://www.postgresql.org/docs/18/functions-info.html#FUNCTIONS-INFO-CONTROLDATA
 */
const probeSql = `
  select standby,
    case when standby then pg_catalog.pg_last_wal_replay_lsn()
      else pg_catalog.pg_current_wal_insert_lsn() end::pg_catalog.text,
    case when standby then greatest((select timeline_id from pg_catalog.pg_control_checkpoint()),
                                    (select received_tli from pg_catalog.pg_stat_wal_receiver))
      else ${timelineSql} end::pg_catalog.text,
    (select system_identifier::pg_catalog.text from pg_catalog.pg_control_system())
  from (select pg_catalog.pg_is_in_recovery() as standby offset 0) server`

/** For a server that has no such functions, or does not let this role use them. */
const roleSql = 'select pg_catalog.pg_is_in_recovery()'

/** The answer to {@link probeSql} or {@link roleSql}. */
export function statusOf(row: readonly unknown[], askedAt: number): ServerStatus {
  const [standby, position = null, timeline = null, system] = row as [
    boolean,
    (string | null)?,
    (string | null)?,
    string?,
  ]
  const lsn = position === null ? undefined : lsnOf(position)
  return {
    askedAt,
    standby,
    timeline: timeline === null ? undefined : Number(timeline) >>> 0,
    system,
    lsn: standby || lsn === undefined ? lsn : endOfLastRecord(lsn),
  }
}

/** What a primary is asked for after a commit: everything committed before is at or before this position. */
export const positionSql = `
  select pg_catalog.pg_current_wal_insert_lsn()::pg_catalog.text, (${timelineSql})::pg_catalog.text`

/** The answer to {@link positionSql}. */
export function positionOf(row: unknown): { readonly timeline: number; readonly lsn: Lsn } {
  const [position, timeline] = row as [string, string]
  return { timeline: Number(timeline) >>> 0, lsn: endOfLastRecord(lsnOf(position)) }
}

function lsnOf(position: string): Lsn {
  const lsn = parseLsn(position)
  if (lsn === undefined) throw new Error(`bug: the server gave a position in its log that is none: ${position}`)
  return lsn
}

/** PostgreSQL 19 has the command, and this word of it. To ask for the word leaves no error in anybody's log. */
const waitProbeSql = `select exists (select from pg_catalog.pg_get_keywords() where word OPERATOR(pg_catalog.=) 'lsn')`

/**
 * Asks one server, over one connection, what it is and where it stands. What the server turns out not to have is asked for
 * once: what counts is what it can do, not what it calls itself.
 */
export class StatusProbe {
  readonly #connection: Pick<Connection, 'run'>
  #reportsPosition = true
  #waits: boolean | undefined

  constructor(connection: Pick<Connection, 'run'>) {
    this.#connection = connection
  }

  /** Whether the server can wait by itself; undefined before that was tried. */
  get waits(): boolean | undefined {
    return this.#waits
  }

  /** What it says of itself now. */
  async probe(deadline: Deadline, askedAt: number): Promise<ServerStatus> {
    if (this.#reportsPosition) {
      try {
        return statusOf(await this.#ask(probeSql, deadline), askedAt)
      } catch (error) {
        if (!isRefusal(error)) throw error
        this.#reportsPosition = false
      }
    }
    return statusOf(await this.#ask(roleSql, deadline), askedAt)
  }

  /**
   * Settles when a standby has replayed up to `lsn`, or after `ms` milliseconds; at once when the server has no such
   * command. Which of them it was, the next probe shows. Rejects only when the connection is lost or the deadline is reached.
   * https://www.postgresql.org/docs/19/sql-wait-for.html
   */
  async waitForReplay(lsn: Lsn, ms: number, deadline: Deadline): Promise<void> {
    try {
      this.#waits ??= (await this.#ask(waitProbeSql, deadline))[0] === true
      // 0 would mean: for ever. It takes no parameters.
      const timeout = `${Math.max(1, Math.ceil(ms))}ms`
      if (this.#waits)
        await this.#ask(`wait for lsn '${formatLsn(lsn)}' with (timeout '${timeout}', no_throw)`, deadline)
    } catch (error) {
      if (sqlStateOf(error) === undefined || classify(error) === 'connection') throw error
      // Whatever it has against it, asking again and again is always possible.
      this.#waits = false
    }
  }

  async #ask(text: string, deadline: Deadline): Promise<readonly unknown[]> {
    const { rows } = await this.#connection.run(new Statement({ text, rowMode: 'array' }), deadline)
    const [row] = rows
    if (row === undefined) throw new Error(`bug: no row came in answer to ${text}`)
    return row as unknown as readonly unknown[]
  }
}

/** The server is well, and does not have what was asked for, or not for this role. */
function isRefusal(error: unknown): boolean {
  return sqlStateOf(error) !== undefined && classify(error) === 'user'
}
