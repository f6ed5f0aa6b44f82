import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { Kysely } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createPool, LifeguardDialect, tryWithLock, withLock, withSemaphore } from '../src/index.js'

interface Database {
  item: { id: number; name: string }
}

const database = useDatabase({ setup: 'create table item (id int primary key, name text not null)' })

function open(): { readonly pool: ReturnType<typeof createPool>; readonly db: Kysely<Database> } {
  const pool = createPool({ connectionString: database.url, max: 4 })
  return { pool, db: new Kysely<Database>({ dialect: new LifeguardDialect(pool) }) }
}

let [one, two]: ReturnType<typeof open>[] = []
beforeAll(() => {
  ;[one, two] = [open(), open()]
})
afterAll(() => Promise.all([one?.pool.end(), two?.pool.end()]))

function both(): readonly [ReturnType<typeof open>, ReturnType<typeof open>] {
  if (one === undefined || two === undefined) throw new Error('not set up')
  return [one, two]
}

test('tryWithLock gives the value, or says that somebody else has the lock', async () => {
  const [mine, other] = both()
  await withLock(mine.db, 'report', async () => {
    expect(await tryWithLock(other.db, 'report', async () => 'made')).toEqual({ acquired: false })
  })
  const made = await tryWithLock(other.db, 'report', ({ withTransaction }) =>
    withTransaction(async () => {
      await other.db.insertInto('item').values({ id: 1, name: 'report' }).execute()
      return (await other.db.selectFrom('item').selectAll().execute()).length
    }),
  )
  expect(made).toEqual({ acquired: true, value: 1 })
  expect(await mine.pool.listLocks()).toEqual([])
})

test('withSemaphore lets so many in and no more', async () => {
  const [mine, other] = both()
  let inside = 0
  let most = 0
  await Promise.all(
    Array.from({ length: 12 }, (_, i) =>
      withSemaphore(i % 2 === 0 ? mine.db : other.db, 'export', 2, async () => {
        inside += 1
        most = Math.max(most, inside)
        await mine.db.selectFrom('item').selectAll().execute()
        inside -= 1
      }),
    ),
  )
  expect(most).toBeLessThanOrEqual(2)
  expect(await mine.pool.listLocks()).toEqual([])
})
