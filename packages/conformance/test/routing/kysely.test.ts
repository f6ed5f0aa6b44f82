import { LifeguardDialect } from '@pg-lifeguard/kysely'
import { Kysely, sql } from 'kysely'
import { rawTexts } from '../../src/index.js'
import type { Db } from './kysely/database.js'
import { fragments } from './kysely/fragments.js'
import { reads } from './kysely/reads.js'
import { writes } from './kysely/writes.js'
import { routingSuite } from './routing-suite.js'

routingSuite<Db>(
  { open: (pool) => new Kysely({ dialect: new LifeguardDialect(pool) }), close: (db) => db.destroy() },
  [...reads, ...writes, ...fragments],
  rawTexts((db, text) => sql.raw(text).execute(db)),
)
