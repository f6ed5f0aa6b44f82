import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import * as adapter from '../src/index.js'
import { migration, migrationsSuite } from './migrations-suite.js'

const entry = { idx: 0, version: '7', when: 1_700_000_000_000, tag: '0000_first', breakpoints: true }

migrationsSuite(adapter, migrate, useDatabase(), {
  'meta/_journal.json': JSON.stringify({ version: '7', dialect: 'postgresql', entries: [entry] }),
  '0000_first.sql': migration,
})
