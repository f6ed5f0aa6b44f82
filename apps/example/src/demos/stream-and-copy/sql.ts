import { createPool, sql } from '@pg-lifeguard/core'
import type { Work } from './work.js'

/** Rows one by one, fetched in batches as the loop asks for them. */
export const stream: Work = async (url) => {
  await using pool = createPool({ connectionString: url, max: 1 })
  let rows = 0
  let total = 0
  for await (const { value } of pool.stream<{ value: number }>('select id, sensor, value from measurement')) {
    rows += 1
    total += value
  }
  return { rows, total }
}

/** The rows as CSV: bytes as they come from the server, for a file, an HTTP answer, another database. */
export const copyOut: Work = async (url) => {
  await using pool = createPool({ connectionString: url, max: 1 })
  let rows = 0
  let total = 0
  for await (const chunk of pool.copyTo(sql`select id, sensor, value from measurement`, { format: 'csv' })) {
    for (const byte of chunk as Buffer) if (byte === 10) rows += 1
    total += (chunk as Buffer).length
  }
  return { rows, total }
}

/** Rows from wherever they are made: the source is asked for more only when the server has taken what it gave. */
export const copyIn: Work = async (url, count) => {
  await using pool = createPool({ connectionString: url, max: 1 })
  let total = 0
  function* measurements() {
    for (let id = 1; id <= count; id++) {
      total += id % 1_000
      yield [id, `sensor ${id % 50}`, id % 1_000]
    }
  }
  const { rowCount } = await pool.copyFrom({ table: 'incoming', columns: ['id', 'sensor', 'value'] }, measurements())
  return { rows: rowCount, total }
}
