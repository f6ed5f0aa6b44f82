import type { Limit } from '../base/limit.js'
import { endOfLastRecord, type Lsn, parseLsn } from '../base/lsn.js'
import type { Connection } from '../wire/connection.js'
import { Statement } from '../wire/statement.js'

/** What a server said of itself at some moment. */
export interface Sighting {
  /** When it was asked. */
  readonly askedAt: number
  /** Whether it follows another server, and takes no writes. */
  readonly standby: boolean
  readonly timeline: number
  /** A standby: up to where it has replayed. A primary: the end of what it has written. */
  readonly lsn: Lsn
}

/**
 * The timeline of a standby is that of its last restart point, or of the stream that it receives, whichever is later: the
 * first may be old by some minutes, the second is hidden from a role without pg_read_all_stats.
 * https://www.postgresql.org/docs/18/functions-info.html#FUNCTIONS-INFO-CONTROLDATA
 */
const lookSql = `
  select standby,
    case when standby then pg_last_wal_replay_lsn() else pg_current_wal_insert_lsn() end::text,
    case when standby then greatest((select timeline_id from pg_control_checkpoint()),
                                    (select received_tli from pg_stat_wal_receiver))
      else ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int end::text
  from (select pg_is_in_recovery() as standby offset 0) server`

/** Asks a server what it is and where it stands. */
export async function look(connection: Connection, limit: Limit, askedAt: number): Promise<Sighting> {
  const { rows } = await connection.run(new Statement({ text: lookSql, rowMode: 'array' }), limit)
  const [standby, place, timeline] = rows[0] as unknown as [boolean, string | null, string]
  // A standby that has replayed nothing yet has no place.
  const lsn = parseLsn(place ?? '0/0')
  if (lsn === undefined) throw new Error(`bug: the server gave a place in its log that is none: ${place}`)
  return { askedAt, standby, timeline: Number(timeline) >>> 0, lsn: standby ? lsn : endOfLastRecord(lsn) }
}

/** What a primary is asked for behind a commit: everything committed before is at or before this place. */
export const positionSql = `
  select pg_current_wal_insert_lsn()::text,
    ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int::text`

/** The answer to {@link positionSql}. */
export function positionOf(row: unknown): { readonly timeline: number; readonly lsn: Lsn } {
  const [place, timeline] = row as [string, string]
  const lsn = parseLsn(place)
  if (lsn === undefined) throw new Error(`bug: the server gave a place in its log that is none: ${place}`)
  return { timeline: Number(timeline) >>> 0, lsn: endOfLastRecord(lsn) }
}
