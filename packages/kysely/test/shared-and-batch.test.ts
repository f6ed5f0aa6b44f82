import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { CamelCasePlugin, type InsertResult, Kysely, sql, type UpdateResult } from 'kysely'
import { afterAll, beforeEach, describe, expect, expectTypeOf, test } from 'vitest'
import {
  BatchError,
  batch,
  createPool,
  InvalidArgumentError,
  LifeguardDialect,
  OperationTimeoutError,
  sqlStateOf,
  updateVersioned,
  VersionConflictError,
  withOptimisticRetry,
  withTransaction,
} from '../src/index.js'

interface Database {
  item: { id: number; name: string; version: number }
}

const database = useDatabase({
  setup: 'create table item (id int primary key, name text not null, version int not null default 1)',
})

function open() {
  const pool = createPool({ connectionString: database.url, max: 4 })
  return { pool, db: new Kysely<Database>({ dialect: new LifeguardDialect(pool) }) }
}

let made: ReturnType<typeof open> | undefined
let { db, pool } = {} as ReturnType<typeof open>

beforeEach(async () => {
  made ??= open()
  ;({ db, pool } = made)
  await pool.query('truncate item')
})

afterAll(async () => {
  await made?.pool.end()
})

async function rejection(promise: Promise<unknown>): Promise<Error> {
  const [outcome] = await Promise.allSettled([promise])
  if (outcome.status === 'fulfilled') throw new Error('was expected to be rejected, but was not')
  return outcome.reason
}

const row = (id: number, name = `item ${id}`) => ({ id, name, version: 1 })

describe('a query', () => {
  /** How many sessions Kysely's connection has taken for itself by the time that it is given back. */
  async function sessionsTaken(run: (on: Kysely<Database>) => Promise<unknown>): Promise<number> {
    let taken = 0
    await db.connection().execute(async (one) => {
      const before = pool.stats().pool.active
      await run(one)
      taken = pool.stats().pool.active - before
    })
    return taken
  }

  test('that stands alone takes no session for itself, also when it writes', async () => {
    expect(await sessionsTaken((on) => on.insertInto('item').values(row(1)).execute())).toBe(0)
    expect(await sessionsTaken((on) => on.selectFrom('item').selectAll().where('id', '=', 1).execute())).toBe(0)
    expect(
      await sessionsTaken((on) =>
        on
          .updateTable('item')
          .set((eb) => ({ name: eb.fn('upper', ['name']), version: sql`version + 1` }))
          .where('id', '=', 1)
          .returningAll()
          .execute(),
      ),
    ).toBe(0)
    expect(
      await sessionsTaken((on) =>
        on
          .selectFrom('item')
          .select(({ fn }) => fn.countAll().as('n'))
          .execute(),
      ),
    ).toBe(0)
    expect(await sessionsTaken((on) => sql`select 1`.execute(on))).toBe(0)
    expect(await sessionsTaken((on) => on.deleteFrom('item').execute())).toBe(0)
  })

  test('that may need its session, or leave something there, takes one and keeps it', async () => {
    await db.insertInto('item').values(row(1)).execute()
    const held: ((on: Kysely<Database>) => Promise<unknown>)[] = [
      (on) => sql`set application_name = 'mine'`.execute(on),
      (on) => sql`select set_config('application_name', 'mine', false)`.execute(on),
      (on) => sql`select pg_advisory_lock(1)`.execute(on).then(() => sql`select pg_advisory_unlock(1)`.execute(on)),
      (on) => on.selectFrom('item').select(sql<string>`set_config('a.b', 'c', false)`.as('x')).execute(),
      (on) => on.selectFrom('item').selectAll().forUpdate().execute(),
      (on) => on.updateTable('item').set({ name: sql<string>`set_config('a.b', 'c', false)` }).execute(),
      (on) =>
        on
          .updateTable('item')
          .set((eb) => ({ name: eb.fn('set_config', [sql.lit('a.b'), sql.lit('c'), sql.lit(false)]) }))
          .execute(),
      (on) => sql`create temp table if not exists basket (id int)`.execute(on),
    ]
    for (const run of held) expect(await sessionsTaken(run)).toBe(1)
  })

  test('behind one that took a session runs there', async () => {
    await db.connection().execute(async (one) => {
      await sql`create temp table item (id int, name text, version int)`.execute(one)
      await one.insertInto('item').values(row(9)).execute()
      expect(await one.selectFrom('item').select('id').execute()).toEqual([{ id: 9 }])
      await sql`drop table pg_temp.item`.execute(one)
    })
    expect(await db.selectFrom('item').select('id').execute()).toEqual([])
  })
})

describe('batch', () => {
  test('runs queries of any kind in one trip, and gives each what its execute() would', async () => {
    const results = await batch(db, [
      db.insertInto('item').values([row(1), row(2)]),
      db.insertInto('item').values(row(3)).returning('id'),
      db.updateTable('item').set({ name: 'new' }).where('id', '<', 3),
      db.selectFrom('item').select('name').orderBy('id'),
      db.deleteFrom('item').where('id', '=', 2),
    ])
    expectTypeOf(results[0]).toEqualTypeOf<InsertResult[]>()
    expectTypeOf(results[1]).toEqualTypeOf<{ id: number }[]>()
    expectTypeOf(results[2]).toEqualTypeOf<UpdateResult[]>()
    expectTypeOf(results[3]).toEqualTypeOf<{ name: string }[]>()
    expect(results[0][0]?.numInsertedOrUpdatedRows).toBe(2n)
    expect(results[1]).toEqual([{ id: 3 }])
    expect(results[2][0]?.numUpdatedRows).toBe(2n)
    expect(results[3].map(({ name }) => name)).toEqual(['new', 'new', 'item 3'])
    expect(results[4][0]?.numDeletedRows).toBe(1n)
    expect(await batch(db, [])).toEqual([])
  })

  test('is all or nothing, and says which one failed', async () => {
    const error = await rejection(
      batch(db, [db.insertInto('item').values(row(1)), db.insertInto('item').values(row(1)), db.deleteFrom('item')]),
    )
    expect(error).toBeInstanceOf(BatchError)
    expect([(error as BatchError).index, sqlStateOf(error)]).toEqual([1, '23505'])
    expect(await db.selectFrom('item').selectAll().execute()).toEqual([])
  })

  test('belongs to the transaction around it, whoever began that', async () => {
    const undo = new Error('undo')
    const insert = (on: Kysely<Database>, id: number) => batch(on, [on.insertInto('item').values(row(id))])
    expect(
      await rejection(
        withTransaction(db, async (trx) => {
          await insert(trx, 1)
          await insert(db, 2)
          expect(await trx.selectFrom('item').select('id').orderBy('id').execute()).toEqual([{ id: 1 }, { id: 2 }])
          throw undo
        }),
      ),
    ).toBe(undo)
    expect(
      await rejection(
        db.transaction().execute(async (trx) => {
          await insert(trx, 3)
          throw undo
        }),
      ),
    ).toBe(undo)
    expect(await db.selectFrom('item').selectAll().execute()).toEqual([])
  })

  test('goes through the plugins, and stops in time', async () => {
    const camel = new Kysely<{ item: { id: number; theName: string } }>({
      dialect: new LifeguardDialect(pool),
      plugins: [new CamelCasePlugin()],
    })
    const [rows] = await batch(camel, [camel.selectNoFrom(sql<string>`'x'`.as('theName'))])
    expect(rows).toEqual([{ theName: 'x' }])
    const [raw] = await batch(db, [sql<{ n: number }>`select 1 as n`])
    expectTypeOf(raw).toEqualTypeOf<{ n: number }[]>()
    expect(raw).toEqual([{ n: 1 }])
    const slow = batch(db, [sql`select pg_sleep(30)`], { timeoutMs: 50 })
    expect(await rejection(slow)).toBeInstanceOf(OperationTimeoutError)
  })
})

describe('updateVersioned', () => {
  test('counts the version up, gives the row, and refuses an old version', async () => {
    await db.insertInto('item').values(row(1)).execute()
    const updated = await updateVersioned(db, 'item', { id: 1, version: 1 }, { name: 'new' })
    expectTypeOf(updated).toEqualTypeOf<{ id: number; name: string; version: number }>()
    expect(updated).toEqual({ id: 1, name: 'new', version: 2 })
    const stale = updateVersioned(db, 'item', { id: 1, version: 1 }, { name: 'late' }, { timeoutMs: 5_000 })
    expect(await rejection(stale)).toBeInstanceOf(VersionConflictError)
    expect(await db.selectFrom('item').select('name').execute()).toEqual([{ name: 'new' }])
  })

  test('inside withOptimisticRetry loses no update', async () => {
    await db.insertInto('item').values(row(1, '0')).execute()
    const count = () =>
      withOptimisticRetry(
        db,
        async () => {
          const { id, name, version } = await db.selectFrom('item').selectAll().executeTakeFirstOrThrow()
          await updateVersioned(db, 'item', { id, version }, { name: String(Number(name) + 1) })
        },
        { attempts: 200 },
      )
    await Promise.all(Array.from({ length: 20 }, count))
    expect(await db.selectFrom('item').selectAll().execute()).toEqual([{ id: 1, name: '20', version: 21 }])
  })

  test('refuses a key without a version or a row, and changes of the version', async () => {
    for (const wrong of [
      () => updateVersioned(db, 'item', { id: 1 }, { name: 'x' }),
      () => updateVersioned(db, 'item', { version: 1 }, { name: 'x' }),
      () => updateVersioned(db, 'item', { id: 1, version: 1 }, {}),
      () => updateVersioned(db, 'item', { id: sql`id`, version: 1 } as never, { name: 'x' }),
      () => updateVersioned(db, 'item', { id: [1], version: 1 } as never, { name: 'x' }),
      () => updateVersioned(db, 'item', { id: { not: 0 }, version: 1 } as never, { name: 'x' }),
      () =>
        updateVersioned(
          db,
          'item',
          { id: (eb: { ref: (name: string) => unknown }) => eb.ref('id'), version: 1 } as never,
          { name: 'x' },
        ),
      () =>
        updateVersioned(db, 'item', { id: 1, version: db.selectFrom('item').select('version') } as never, {
          name: 'x',
        }),
      () => updateVersioned(db, 'item', { id: 1, version: 1 }, { version: 2 }),
      () => updateVersioned(db, 'item', { id: 1, version: 1 }, { name: 'x' }, { timeout: 5 } as never),
      () => updateVersioned(db, 'item', { id: 1, version: 1 }, { name: 'x' }, { versionField: 'v' } as never),
      () => updateVersioned(db, 'item', { id: 1, version: 1 }, { name: 'x' }, null as never),
    ]) {
      expect(await rejection(wrong())).toBeInstanceOf(InvalidArgumentError)
    }
  })
})
