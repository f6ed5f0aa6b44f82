import type { Case } from '../case.js'
import { rowReaders } from '../line-ups/row-readers.js'
import type { RowsLoad, Session } from '../peer.js'
import { bytesTable, type RowsTable, tableOf } from '../rows-tables.js'

const many = 200_000
const megabyte = 1_048_576

interface Size {
  readonly table: RowsTable
  readonly callers: number
  readonly connections: number
}

const byOne = (table: RowsTable): Size => ({ table, callers: 1, connections: 1 })

/** What a row costs the process that reads it, in processor time; and how many come in a second. */
function readings(name: string, size: Size): Case[] {
  const { table, callers, connections } = size
  const common = { lineUp: rowReaders, needs: ['rows'], table, connections, roundTripMs: 0, slow: true } as const
  const load = async (session: Session, ms: number): Promise<RowsLoad> => {
    if (session.rows === undefined) throw new Error('bug: cannot read rows')
    return await session.rows({ table, callers, ms })
  }
  return [
    {
      ...common,
      name,
      unit: 'us',
      better: 'lower',
      async read(session, { ms }) {
        const { cpuUs, rows } = await load(session, ms)
        return cpuUs / rows
      },
    },
    {
      ...common,
      name: `${name}-rate`,
      unit: 'rows/s',
      better: 'higher',
      mostRounds: 3,
      async read(session, { ms }) {
        const { elapsedMs, rows } = await load(session, ms)
        return (rows / elapsedMs) * 1_000
      },
    },
  ]
}

const bytes = bytesTable(100, megabyte)

/** 100 MB at once: how much memory the process had at the most. */
const peak: Case = {
  name: 'rows-bytea-memory',
  unit: 'MB',
  better: 'lower',
  lineUp: rowReaders,
  needs: ['rowsPeak'],
  table: bytes,
  connections: 1,
  roundTripMs: 0,
  slow: true,
  readsWhole: true,
  mostRounds: 3,
  read: async (session) => (await session.rowsPeak?.(bytes)) ?? Number.NaN,
}

/** All rows of a table in one query. */
export const rows: readonly Case[] = [
  ...(['ints', 'text', 'mixed', 'times', 'json'] as const).flatMap((kind) =>
    readings(`rows-${kind}`, byOne(tableOf(kind, many))),
  ),
  ...readings('rows-bytea', byOne(bytes)),
  peak,
  ...readings('rows-100', byOne(tableOf('mixed', 100))),
  ...readings('rows-1', { table: tableOf('five', 1), callers: 64, connections: 8 }),
]
