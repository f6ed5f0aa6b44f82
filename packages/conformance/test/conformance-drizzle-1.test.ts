import { sql } from 'drizzle-orm'
import { sql as sqlOf1 } from 'drizzle-orm-1'
import { expect, test, vi } from 'vitest'
import { conformanceSuite } from './conformance-suite.js'
import { drizzle } from './subjects/drizzle.js'

// Drizzle 1.0 in the place of 0.45, for the adapter and for the subject: so it has a file of its own.
vi.mock('drizzle-orm', () => import('drizzle-orm-1'))
vi.mock('drizzle-orm/pg-core', () => import('drizzle-orm-1/pg-core'))
vi.mock('drizzle-orm/node-postgres', () => import('drizzle-orm-1/node-postgres'))

test('is on Drizzle 1.0', () => expect(sql).toBe(sqlOf1))

conformanceSuite([{ ...drizzle, name: 'Drizzle 1.0' }])
