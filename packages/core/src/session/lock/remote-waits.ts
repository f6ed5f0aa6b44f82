import type { LockWait } from './lock-waits.js'

/** What a waiting statement says of the locks that its line of work holds already; other processes read it. */
export function noteOf(id: string, holds: Iterable<string>): string {
  return `/* lifeguard ${id} holds ${[...holds].join(' ')} */ `
}

/** The same for waits that are not on the server. */
export function postOf(waits: readonly LockWait[]): string {
  return `/* lifeguard board ${waits.map(({ id, waitsFor, holds }) => `${id} ${waitsFor} ${[...holds].join(' ')};`).join('')} */ `
}

/**
 * Every advisory lock of the sessions that wait for one in this database, with the statement that waits; and what other
 * processes show of their own waits. A key is put together from its halves as the server shows them:
 * https://www.postgresql.org/docs/18/view-pg-locks.html
 */
export const waitsSql = `
  with locks as (
    select l.pid, l.objsubid as form, l.classid::pg_catalog.int8 as high, l.objid::pg_catalog.int8 as low, l.granted
    from pg_catalog.pg_locks l join pg_catalog.pg_database d on d.oid OPERATOR(pg_catalog.=) l.database
    where l.locktype OPERATOR(pg_catalog.=) 'advisory'
      and d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
  )
  select l.pid, l.form, l.high, l.low, l.granted, a.query
  from locks l join pg_catalog.pg_stat_activity a on a.pid OPERATOR(pg_catalog.=) l.pid
  where exists (select from locks w where w.pid OPERATOR(pg_catalog.=) l.pid and not w.granted)
  union all
  select a.pid, null, null, null, null, a.query from pg_catalog.pg_stat_activity a
  where a.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
    and pg_catalog.starts_with(a.query, '/* lifeguard board ')`

interface LockRow {
  readonly pid: number
  readonly form: number
  readonly high: string
  readonly low: string
  readonly granted: boolean
  readonly query: string | null
}

interface BoardRow {
  readonly form: null
  readonly query: string
}

/** Who waits, in this process and in others, from the rows of `waitsSql`. */
export function remoteWaits(rows: readonly unknown[]): LockWait[] {
  const all = rows as readonly (LockRow | BoardRow)[]
  const locks = all.flatMap((row) =>
    row.form === null ? [] : [{ ...row, key: keyId(row.form, BigInt(row.high), BigInt(row.low)) }],
  )
  const onServer = locks.flatMap(({ pid, granted, key, query }): LockWait[] => {
    if (granted) return []
    const own = locks.flatMap((other) => (other.granted && other.pid === pid ? [other.key] : []))
    const note = readNote(query ?? '')
    const holds = new Set([...own, ...note.holds])
    holds.delete(key)
    // A session of another program holds what it holds, and has no name.
    return [{ waitsFor: key, holds, id: note.id }]
  })
  return [...onServer, ...all.flatMap((row) => (row.form === null ? readPost(row.query) : []))]
}

/** The server keeps the first `track_activity_query_size` bytes of a statement: the last key may be cut in two. */
function readNote(query: string): { readonly id: string; readonly holds: readonly string[] } {
  const found = /^\/\* lifeguard ([0-9a-f]+) holds ([-0-9, ]*)(\*\/)?/.exec(query)
  const [, id = '', list = '', end] = found ?? []
  const keys = list.split(' ').filter((key) => key !== '')
  return { id, holds: end === undefined ? keys.slice(0, -1) : keys }
}

/** What is cut off is not shown for now. */
function readPost(query: string): LockWait[] {
  return [...query.matchAll(/([0-9a-f]{16}) ([-0-9,]+) ([-0-9, ]*);/g)].map(
    ([, id = '', waitsFor = '', holds = '']) => {
      return { id, waitsFor, holds: new Set(holds.split(' ')) }
    },
  )
}

/** The id of a key from the halves in pg_locks: `objsubid` is 1 for one number of 64 bits, and 2 for two of 32. */
export function keyId(form: number, high: bigint, low: bigint): string {
  if (form === 1) return String(BigInt.asIntN(64, (high << 32n) | low))
  return `${BigInt.asIntN(32, high)},${BigInt.asIntN(32, low)}`
}
