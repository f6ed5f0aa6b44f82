import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { Kysely, sql } from 'kysely'
import { Migrator } from 'kysely/migration'
import { expect, test } from 'vitest'
import { createPool, LifeguardDialect } from '../src/index.js'

const database = useDatabase({ setup: 'create table entry (id int primary key, name text not null)' })

/** One process of a deploy, which begins with the migrations. */
async function instance(disableTransactions: boolean): Promise<number> {
  await using pool = createPool({ connectionString: database.url, max: 2 })
  const db = new Kysely<unknown>({ dialect: new LifeguardDialect(pool) })
  const migrator = new Migrator({
    db,
    disableTransactions,
    provider: {
      getMigrations: async () => ({
        '001_label': {
          up: async (on) => {
            await sql`select pg_sleep(0.2)`.execute(on)
            await on.schema.alterTable('entry').addColumn('label', 'text').execute()
          },
        },
        ...(disableTransactions && {
          '002_index': { up: async (on) => void (await sql`create index concurrently on entry (label)`.execute(on)) },
        }),
      }),
    },
  })
  return await pool.withMigrationLock(
    async () => {
      const { error, results = [] } = await migrator.migrateToLatest()
      if (error !== undefined) throw error
      return results.length
    },
    { waitMs: 20_000 },
  )
}

test('instances that start together migrate one after the other, and only the first has something to do', async () => {
  const done = await Promise.all([instance(false), instance(false), instance(false)])
  expect(done.toSorted()).toEqual([0, 0, 1])
})

test('without a transaction an index is made concurrently while others wait for the lock', async () => {
  const done = await Promise.all([instance(true), instance(true)])
  expect(done.toSorted()).toEqual([0, 1])
  await using pool = createPool({ connectionString: database.url })
  const { rows } = await pool.query("select indisvalid from pg_index where indexrelid = 'entry_label_idx'::regclass")
  expect(rows).toEqual([{ indisvalid: true }])
})
