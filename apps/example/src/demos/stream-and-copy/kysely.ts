import { createPool, LifeguardDialect } from '@pg-lifeguard/kysely'
import { Kysely } from 'kysely'
import type { Tables } from '../../schema/kysely-tables.js'
import type { Work } from './work.js'

/** Kysely's own stream(), fetched in batches as the loop asks for them. */
export const stream: Work = async (url) => {
  await using pool = createPool({ connectionString: url, max: 1 })
  const db = new Kysely<Tables>({ dialect: new LifeguardDialect(pool) })
  let rows = 0
  let total = 0
  for await (const { value } of db.selectFrom('measurement').select(['id', 'sensor', 'value']).stream(500)) {
    rows += 1
    total += value
  }
  return { rows, total }
}
