import { test } from 'vitest'
import { runTogether, type Subject, togetherCases } from '../src/index.js'
import { useEnvironment } from './environment.js'
import { drizzle } from './subjects/drizzle.js'
import { kysely } from './subjects/kysely.js'
import { prisma } from './subjects/prisma.js'

const environment = useEnvironment()
const subjects: readonly Subject[] = [kysely, drizzle, prisma]

for (const { name, run } of togetherCases) {
  test(name, { timeout: 120_000 }, () => runTogether(environment, subjects, run))
}
