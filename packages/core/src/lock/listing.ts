import type { Deadline } from '../deadline/deadline.js'
import type { Server } from '../server/server.js'
import type { LockMode } from '../transaction/held-lock.js'
import { keyId } from './deadlock-detector.js'
import type { LockNames } from './grants.js'

/** One session that holds an advisory lock of this database, or waits for it. */
export interface LockListing {
  /** The key as text: one number, or two with a comma between. */
  readonly key: string
  /** The name that was hashed to it, where this process knows it. */
  readonly name: string | undefined
  readonly mode: LockMode
  /** False while it waits. */
  readonly granted: boolean
  /** Whether the session or its transaction holds it is not known; this is the process id of the backend. */
  readonly pid: number
  readonly applicationName: string
  /** How long it has been waiting, in milliseconds; undefined when it holds the lock. */
  readonly waitingMs: number | undefined
  /** Process ids of the sessions that it waits for. */
  readonly blockedBy: readonly number[]
}

const listingSql = `
  select l.pid, l.objsubid as form, l.classid::pg_catalog.int8 as high, l.objid::pg_catalog.int8 as low, l.granted,
    l.mode OPERATOR(pg_catalog.=) 'ShareLock' as shared, coalesce(a.application_name, '') as application_name,
    case when not l.granted then
      (extract(epoch from pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) l.waitstart)::pg_catalog.float8)
        OPERATOR(pg_catalog.*) 1000::pg_catalog.float8 end as waiting_ms,
    case when not l.granted then pg_catalog.pg_blocking_pids(l.pid) end as blocked_by
  from pg_catalog.pg_locks l
  join pg_catalog.pg_database d on d.oid OPERATOR(pg_catalog.=) l.database
  left join pg_catalog.pg_stat_activity a on a.pid OPERATOR(pg_catalog.=) l.pid
  where l.locktype OPERATOR(pg_catalog.=) 'advisory'
    and d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
  order by 3, 4, l.granted desc, l.waitstart, l.pid`

interface ListingRow {
  readonly pid: number
  readonly form: number
  readonly high: string
  readonly low: string
  readonly granted: boolean
  readonly shared: boolean
  readonly application_name: string
  readonly waiting_ms: number | null
  readonly blocked_by: readonly number[] | null
}

/** Who holds and who waits for which advisory lock of this database, whatever program they belong to. */
export async function listLocks(server: Server, names: LockNames, deadline: Deadline): Promise<LockListing[]> {
  const { rows } = await server.query({ text: listingSql }, deadline, undefined)
  return (rows as unknown as ListingRow[]).map((row) => {
    const key = keyId(row.form, BigInt(row.high), BigInt(row.low))
    return {
      key,
      name: names.nameOf(key),
      mode: row.shared ? 'shared' : 'exclusive',
      granted: row.granted,
      pid: row.pid,
      applicationName: row.application_name,
      waitingMs: row.waiting_ms === null ? undefined : Math.max(0, row.waiting_ms),
      blockedBy: row.blocked_by ?? [],
    }
  })
}
