import type { Pool } from '@pg-lifeguard/core'
import { sql } from 'drizzle-orm'
import { rawTexts } from '../../../src/index.js'
import { routingSuite } from '../routing-suite.js'
import type { Db } from './database.js'
import { fragments } from './fragments.js'
import { reads } from './reads.js'
import { writes } from './writes.js'

/** The corpus on whichever Drizzle the file runs on; only how relations are described differs. */
export function drizzleSuite(open: (pool: Pool) => Db): void {
  routingSuite<Db>(
    { open, close: async () => undefined },
    [...reads, ...writes, ...fragments],
    rawTexts((db, text) => db.execute(sql.raw(text))),
  )
}
