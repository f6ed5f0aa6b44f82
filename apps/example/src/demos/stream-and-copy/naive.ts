import { createPool } from '@pg-lifeguard/core'
import type { Work } from './work.js'

/** WRONG for many rows: all of them are in memory before the first one can be looked at. */
export const allAtOnce: Work = async (url) => {
  await using pool = createPool({ connectionString: url, max: 1 })
  const { rows } = await pool.query<{ value: number }>('select id, sensor, value from measurement')
  return { rows: rows.length, total: rows.reduce((sum, { value }) => sum + value, 0), all: rows }
}
