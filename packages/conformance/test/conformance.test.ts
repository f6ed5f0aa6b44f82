import { conformanceSuite } from './conformance-suite.js'
import { core } from './subjects/core.js'
import { drizzle } from './subjects/drizzle.js'
import { kysely } from './subjects/kysely.js'
import { prisma } from './subjects/prisma.js'

conformanceSuite([core, kysely, drizzle, prisma])
