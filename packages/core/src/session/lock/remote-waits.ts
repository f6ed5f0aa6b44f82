import type { Limit } from '../../base/limit.js'
import type { Host } from '../../host/host.js'
import { holdsMarker } from './lock-sql.js'
import type { LockWait } from './lock-waits.js'

/**
 * Sessions that wait for an advisory lock of this database, with what their statement says it holds. The key is put
 * together from its halves as the server shows them: https://www.postgresql.org/docs/18/view-pg-locks.html
 */
const waitsSql = `
  select l.pid, l.objsubid as form, l.classid::bigint as high, l.objid::bigint as low,
    substring(a.query from '/\\* ${holdsMarker} ([^*]*) \\*/') as holds
  from pg_locks l join pg_stat_activity a on a.pid = l.pid
  where l.locktype = 'advisory' and not l.granted
    and l.database = (select oid from pg_database where datname = current_database())`

interface WaitRow {
  readonly pid: number
  readonly form: number
  readonly high: string
  readonly low: string
  readonly holds: string | null
}

/** Who waits on the server, in this process and in others. */
export async function remoteWaits(host: Host, limit: Limit): Promise<LockWait[]> {
  const { rows } = await host.query({ text: waitsSql }, limit, undefined)
  return (rows as unknown as WaitRow[]).map(({ pid, form, high, low, holds }) => ({
    pid,
    waitsFor: keyId(form, BigInt(high), BigInt(low)),
    holds: new Set(holds?.split(' ')),
  }))
}

/** The id of a key from the halves in pg_locks: `objsubid` is 1 for one number of 64 bits, and 2 for two of 32. */
export function keyId(form: number, high: bigint, low: bigint): string {
  if (form === 1) return String(BigInt.asIntN(64, (high << 32n) | low))
  return `${BigInt.asIntN(32, high)},${BigInt.asIntN(32, low)}`
}
