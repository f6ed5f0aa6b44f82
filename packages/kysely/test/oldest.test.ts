import { Kysely } from 'kysely'
import { Kysely as OldestKysely, PostgresQueryCompiler } from 'kysely-oldest'
import { describe, expect, test, vi } from 'vitest'
import { createPool, LifeguardDialect } from '../src/index.js'

// The oldest Kysely of the peer range in the place of the newest, for the adapter and for its tests.
vi.mock('kysely', () => import('kysely-oldest'))
vi.mock('kysely/migration', () => import('kysely-oldest/migration'))

test('is on the oldest Kysely, and so is the adapter', async () => {
  expect(Kysely).toBe(OldestKysely)
  await using pool = createPool()
  expect(new LifeguardDialect(pool).createQueryCompiler()).toBeInstanceOf(PostgresQueryCompiler)
})

describe('on the oldest Kysely', () => {
  describe('queries and transactions', () => import('./kysely.test.js').then(() => undefined))
  describe('what is shared, and batches', () => import('./shared-and-batch.test.js').then(() => undefined))
  describe('locks', () => import('./lock.test.js').then(() => undefined))
  describe('sessions', () => import('./sessions.test.js').then(() => undefined))
})
