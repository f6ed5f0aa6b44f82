import { keepBusy } from './load.js'
import type { RowsLoad, RowsOrder, Session } from './peer.js'
import type { RowsTable } from './rows-tables.js'

/** A row of one of the tables of rows, as far as it is looked at. */
export interface NumberedRow {
  readonly a: number
}

/** Reads all rows of the table of this name. */
export type ReadAll = (table: string) => Promise<readonly NumberedRow[]>

/** What a session in this process has to say of rows: they are read over and over, and all must be there. */
export function readingHere(readAll: ReadAll): Required<Pick<Session, 'rows' | 'rowsPeak'>> {
  const readOnce = async (table: RowsTable): Promise<void> => checkSum(sumOf(await readAll(table.name)), table)
  return {
    async rows({ table, callers, ms }: RowsOrder): Promise<RowsLoad> {
      const before = process.cpuUsage()
      const { operations, elapsedMs } = await keepBusy(callers, ms, () => readOnce(table))
      const { user, system } = process.cpuUsage(before)
      return { rows: operations * table.rows, elapsedMs, cpuUs: user + system }
    },
    async rowsPeak(table) {
      await readOnce(table)
      return process.resourceUsage().maxRSS / 1_024
    },
  }
}

function sumOf(rows: readonly NumberedRow[]): number {
  let sum = 0
  for (const { a } of rows) sum += a
  return sum
}

/** @throws when it is not the sum of the table's column `a` */
export function checkSum(sum: number, { name, rows }: RowsTable): void {
  if (sum !== (rows * (rows + 1)) / 2) throw new Error(`wrong sum: ${sum} of the ${rows} rows of ${name}`)
}
