import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { migrate } from 'drizzle-orm-1/node-postgres/migrator'
import { vi } from 'vitest'
import * as adapter from '../src/index.js'
import { migration, migrationsSuite } from './migrations-suite.js'

// Drizzle 1.0 in the place of 0.45, for the adapter.
vi.mock('drizzle-orm', () => import('drizzle-orm-1'))
vi.mock('drizzle-orm/pg-core', () => import('drizzle-orm-1/pg-core'))
vi.mock('drizzle-orm/node-postgres', () => import('drizzle-orm-1/node-postgres'))

migrationsSuite(adapter, migrate, useDatabase(), { '20240101000000_first/migration.sql': migration })
