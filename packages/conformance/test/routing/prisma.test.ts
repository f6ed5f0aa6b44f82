import { rawTexts } from '../../src/index.js'
import { type Db, extended } from './prisma/database.js'
import { fragments } from './prisma/fragments.js'
import { reads } from './prisma/reads.js'
import { writes } from './prisma/writes.js'
import { routingSuite } from './routing-suite.js'

routingSuite<Db>(
  { open: extended, close: (db) => db.$disconnect() },
  [...reads, ...writes, ...fragments],
  rawTexts((db, text) => db.$queryRawUnsafe(text)),
)
