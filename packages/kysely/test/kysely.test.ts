import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { Kysely, sql } from 'kysely'
import { Migrator } from 'kysely/migration'
import { afterAll, beforeEach, describe, expect, expectTypeOf, test } from 'vitest'
import {
  type Transaction as CoreTransaction,
  createPool,
  InvalidArgumentError,
  LifeguardDialect,
  poolOf,
  sqlStateOf,
  TransactionRolledBackError,
  VersionConflictError,
  withLock,
  withOptimisticRetry,
  withTransaction,
} from '../src/index.js'

interface Database {
  item: { id: number; name: string; version: number }
}

const database = useDatabase({
  setup: 'create table item (id int primary key, name text not null, version int not null default 1)',
})

let made: { db: Kysely<Database>; pool: ReturnType<typeof createPool> } | undefined

function setUp(): { db: Kysely<Database>; pool: ReturnType<typeof createPool> } {
  if (made === undefined) {
    const pool = createPool({ connectionString: database.url, max: 4 })
    made = { pool, db: new Kysely<Database>({ dialect: new LifeguardDialect(pool) }) }
  }
  return made
}

let { db, pool } = {} as ReturnType<typeof setUp>

beforeEach(async () => {
  ;({ db, pool } = setUp())
  await pool.query('truncate item')
})

afterAll(async () => {
  await made?.db.destroy()
  await made?.pool.end()
})

async function names(): Promise<string[]> {
  return (await db.selectFrom('item').select('name').orderBy('id').execute()).map(({ name }) => name)
}

async function rejection(promise: Promise<unknown>): Promise<Error> {
  const [outcome] = await Promise.allSettled([promise])
  if (outcome.status === 'fulfilled') throw new Error('was expected to be rejected, but was not')
  return outcome.reason
}

describe('queries', () => {
  test('run, count what they changed, and give every connection back', async () => {
    const inserted = await db.insertInto('item').values({ id: 1, name: 'a', version: 1 }).executeTakeFirst()
    expect(inserted.numInsertedOrUpdatedRows).toBe(1n)
    expect((await db.updateTable('item').set({ name: 'b' }).executeTakeFirst()).numUpdatedRows).toBe(1n)
    expect(await names()).toEqual(['b'])
    expect((await db.deleteFrom('item').executeTakeFirst()).numDeletedRows).toBe(1n)
    expect(pool.stats()).toMatchObject({ pool: { active: 0 }, waits: { waiting: 0 } })
  })

  test('fail with the error of the server, code and all', async () => {
    await db.insertInto('item').values({ id: 1, name: 'a', version: 1 }).execute()
    const error = await rejection(db.insertInto('item').values({ id: 1, name: 'b', version: 1 }).execute())
    expect(sqlStateOf(error)).toBe('23505')
    expect(pool.stats()).toMatchObject({ pool: { active: 0 } })
  })

  test('on db.connection() share one session', async () => {
    const pids = await db.connection().execute(async (one) => {
      await sql`set application_name = 'mine'`.execute(one)
      const ask = sql<{
        pid: number
        name: string
      }>`select pg_backend_pid() as pid, current_setting('application_name') as name`
      return [await ask.execute(one), await ask.execute(one)].flatMap(({ rows }) => rows)
    })
    expect(pids[0]).toEqual(pids[1])
    expect(pids[0]?.name).toBe('mine')
  })

  test('stream rows in chunks', async () => {
    await pool.query("insert into item select n, 'n' || n from generate_series(1, 250) n")
    const seen: number[] = []
    for await (const { id } of db.selectFrom('item').select('id').orderBy('id').stream(100)) seen.push(id)
    expect(seen).toHaveLength(250)
    for await (const _ of db.selectFrom('item').select('id').stream(10)) break
    expect(pool.stats().pool.active).toBe(0)
  })

  test('can be aborted by each of the three strategies', async () => {
    for (const inflightQueryAbortStrategy of ['ignore query', 'cancel query', 'kill session'] as const) {
      const controller = new AbortController()
      const ms = inflightQueryAbortStrategy === 'ignore query' ? 0.2 : 30
      const running = rejection(
        sql`select pg_sleep(${ms}), 'aborted by strategy'`.execute(db, {
          signal: controller.signal,
          inflightQueryAbortStrategy,
        }),
      )
      await until(async () => {
        const { rows } = await pool.query(
          "select 1 from pg_stat_activity where query like '%aborted by strategy%' and state = 'active' and pid <> pg_backend_pid()",
        )
        return rows.length === 1
      })
      controller.abort(new Error('enough'))
      expect((await running).message).toBe('enough')
      await until(() => pool.stats().pool.active === 0)
    }
  })

  test('show the schema and run migrations', async () => {
    const tables = await db.introspection.getTables()
    expect(tables.map(({ name }) => name)).toContain('item')
    const migrator = new Migrator({
      db,
      migrationTableName: 'test_migration',
      migrationLockTableName: 'test_migration_lock',
      provider: {
        getMigrations: async () => ({
          one: { up: (on: Kysely<unknown>) => on.schema.createTable('made').addColumn('id', 'integer').execute() },
        }),
      },
    })
    const { error, results } = await migrator.migrateToLatest()
    expect(error).toBeUndefined()
    expect(results?.map(({ status }) => status)).toEqual(['Success'])
    await pool.query('drop table made, test_migration, test_migration_lock')
  })
})

describe("Kysely's own transactions", () => {
  test('commit, roll back, and keep their isolation', async () => {
    await db
      .transaction()
      .setIsolationLevel('serializable')
      .execute(async (trx) => {
        const { rows } = await sql<{ level: string }>`select current_setting('transaction_isolation') as level`.execute(
          trx,
        )
        expect(rows).toEqual([{ level: 'serializable' }])
        await trx.insertInto('item').values({ id: 1, name: 'kept', version: 1 }).execute()
      })
    await rejection(
      db.transaction().execute(async (trx) => {
        await trx.insertInto('item').values({ id: 2, name: 'undone', version: 1 }).execute()
        throw new Error('undo')
      }),
    )
    expect(await names()).toEqual(['kept'])
    expect(pool.stats().pool.active).toBe(0)
  })

  test('that swallowed a failure are rejected', async () => {
    const error = await rejection(
      db.transaction().execute(async (trx) => {
        await trx.insertInto('item').values({ id: 1, name: 'a', version: 1 }).execute()
        await rejection(sql`select 1/0`.execute(trx))
      }),
    )
    expect(error).toBeInstanceOf(TransactionRolledBackError)
    expect(await names()).toEqual([])
  })

  test('controlled ones have savepoints, with names that need quoting too', async () => {
    const trx = await db.startTransaction().execute()
    await trx.insertInto('item').values({ id: 1, name: 'first', version: 1 }).execute()
    const saved = await trx.savepoint('odd " name').execute()
    await saved.insertInto('item').values({ id: 2, name: 'undone', version: 1 }).execute()
    const back = await saved.rollbackToSavepoint('odd " name').execute()
    const again = await back.savepoint('two').execute()
    await again.insertInto('item').values({ id: 3, name: 'third', version: 1 }).execute()
    await (await again.releaseSavepoint('two').execute()).commit().execute()
    expect(await names()).toEqual(['first', 'third'])
    expect(pool.stats().pool.active).toBe(0)
  })

  test('are savepoints inside a transaction of the pool', async () => {
    await pool.withTransaction(async () => {
      await db.insertInto('item').values({ id: 1, name: 'outer', version: 1 }).execute()
      await rejection(
        db.transaction().execute(async (trx) => {
          await trx.insertInto('item').values({ id: 2, name: 'inner', version: 1 }).execute()
          throw new Error('undo the inner one')
        }),
      )
    })
    expect(await names()).toEqual(['outer'])
  })
})

describe('withTransaction', () => {
  test("gives Kysely's own transaction, and takes in db and pool as well", async () => {
    const value = await withTransaction(db, async (trx, tx) => {
      expectTypeOf(tx).toEqualTypeOf<CoreTransaction>()
      await trx.insertInto('item').values({ id: 1, name: 'by trx', version: 1 }).execute()
      await db.insertInto('item').values({ id: 2, name: 'by db', version: 1 }).execute()
      await pool.query("insert into item values (3, 'by pool')")
      await tx.query("insert into item values (4, 'by tx')")
      expect(pool.stats().pool.active).toBe(1)
      return 'value'
    })
    expect(value).toBe('value')
    await rejection(
      withTransaction(db, async () => {
        await db.deleteFrom('item').execute()
        throw new Error('undo')
      }),
    )
    expect(await names()).toEqual(['by trx', 'by db', 'by pool', 'by tx'])
  })

  test('retries the whole callback, with a new transaction object', async () => {
    await pool.query("insert into item values (1, '0')")
    const attempts: number[] = []
    // The first two have both read before either writes: one of them has to run again.
    let read = 0
    const bothHaveRead = Promise.withResolvers<void>()
    await Promise.all(
      Array.from({ length: 15 }, () =>
        withTransaction(
          db,
          async (trx, tx) => {
            attempts.push(tx.attempt)
            const { name } = await trx.selectFrom('item').select('name').executeTakeFirstOrThrow()
            read += 1
            if (read === 2) bothHaveRead.resolve()
            if (read <= 2) await bothHaveRead.promise
            await trx
              .updateTable('item')
              .set({ name: String(Number(name) + 1) })
              .execute()
          },
          { isolation: 'serializable', retry: { attempts: 100 } },
        ),
      ),
    )
    expect(await names()).toEqual(['15'])
    expect(attempts.length).toBeGreaterThan(15)
  })

  test('nests as savepoints, through db and through trx', async () => {
    await withTransaction(db, async (trx) => {
      await trx.insertInto('item').values({ id: 1, name: 'outer', version: 1 }).execute()
      for (const inner of [db, trx] as Kysely<Database>[]) {
        await rejection(
          withTransaction(inner, async (nested) => {
            await nested.insertInto('item').values({ id: 2, name: 'inner', version: 1 }).execute()
            throw new Error('undo')
          }),
        )
      }
      await withTransaction(trx, (nested) =>
        nested.insertInto('item').values({ id: 3, name: 'inner, kept', version: 1 }).execute(),
      )
    })
    expect(await names()).toEqual(['outer', 'inner, kept'])
  })

  test('keeps its plugins and schema', async () => {
    await withTransaction(db.withSchema('public'), (trx) =>
      trx.insertInto('item').values({ id: 1, name: 'a', version: 1 }).execute(),
    )
    expect(await names()).toEqual(['a'])
  })

  test('refuses a Kysely on another dialect, and is typed for its database', async () => {
    const { DummyDriver, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } = await import('kysely')
    const foreign = new Kysely<Database>({
      dialect: {
        createAdapter: () => new PostgresAdapter(),
        createDriver: () => new DummyDriver(),
        createIntrospector: (on) => new PostgresIntrospector(on),
        createQueryCompiler: () => new PostgresQueryCompiler(),
      },
    })
    expect(await rejection(withTransaction(foreign, async () => undefined))).toBeInstanceOf(InvalidArgumentError)
    expect(() => poolOf(foreign)).toThrow(InvalidArgumentError)
    const typed = () =>
      withTransaction(db, async (trx) => {
        // @ts-expect-error there is no such table
        await trx.selectFrom('nowhere').selectAll().execute()
        return 1
      })
    expectTypeOf(typed).returns.resolves.toBeNumber()
    const illegal = () => {
      // @ts-expect-error there is no such isolation level in PostgreSQL
      return withTransaction(db, async () => undefined, { isolation: 'snapshot' })
    }
    expectTypeOf(illegal).returns.resolves.toBeUndefined()
  })
})

test('poolOf gives the pool behind an instance, its copies and its transactions, whoever began them', async () => {
  expectTypeOf(poolOf(db)).toEqualTypeOf(pool)
  expect(poolOf(db)).toBe(pool)
  expect(poolOf(db.withSchema('public').withoutPlugins())).toBe(pool)
  await withTransaction(db, async (trx) => expect(poolOf(trx)).toBe(pool))
  await db.transaction().execute(async (trx) => expect(poolOf(trx)).toBe(pool))
  await db.connection().execute(async (on) => expect(poolOf(on)).toBe(pool))
})

test('withLock lets one in at a time and leaves no lock', async () => {
  let inside = 0
  let most = 0
  await Promise.all(
    Array.from({ length: 20 }, () =>
      withLock(db, 'item:1', async ({ signal }) => {
        expect(signal.aborted).toBe(false)
        inside += 1
        most = Math.max(most, inside)
        await db.selectFrom('item').selectAll().execute()
        inside -= 1
      }),
    ),
  )
  expect(most).toBe(1)
})

test('withOptimisticRetry runs again on a conflict', async () => {
  await db.insertInto('item').values({ id: 1, name: '0', version: 1 }).execute()
  await Promise.all(
    Array.from({ length: 10 }, () =>
      withOptimisticRetry(
        db,
        async () => {
          const { name, version } = await db.selectFrom('item').selectAll().executeTakeFirstOrThrow()
          const { numUpdatedRows } = await db
            .updateTable('item')
            .set({ name: String(Number(name) + 1), version: version + 1 })
            .where('version', '=', version)
            .executeTakeFirst()
          if (numUpdatedRows === 0n) throw new VersionConflictError('item 1')
        },
        { attempts: 100 },
      ),
    ),
  )
  expect(await names()).toEqual(['10'])
})

test('destroy leaves a shared pool alone, and ends one that is its own', async () => {
  const own = createPool({ connectionString: database.url, max: 1 })
  const first = new Kysely<Database>({ dialect: new LifeguardDialect(own) })
  await first.selectFrom('item').selectAll().execute()
  await first.destroy()
  expect((await own.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  const second = new Kysely<Database>({ dialect: new LifeguardDialect(own, { endPoolOnDestroy: true }) })
  await second.selectFrom('item').selectAll().execute()
  await second.destroy()
  expect((await rejection(own.query('select 1'))).message).toContain('ended')
})

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 10_000
  while (!(await condition())) {
    if (performance.now() > end) throw new Error('did not happen within 10 s')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
