import { startFaultProxy } from '@pg-lifeguard/testing'
import type { UsedDatabase } from '@pg-lifeguard/testing/vitest'
import { sql } from 'drizzle-orm'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type * as Adapter from '../src/index.js'

export const setup =
  'create table item (id int primary key, name text not null, version int not null default 1); ' +
  'create table part (id int primary key, item_id int not null references item)'

/** The tables, made by whichever Drizzle the file runs on. */
export function tables(): { item: ReturnType<typeof itemTable>; part: ReturnType<typeof partTable> } {
  return { item: itemTable(), part: partTable() }
}
const itemTable = () =>
  pgTable('item', {
    id: integer('id').primaryKey(),
    name: text('name').notNull(),
    version: integer('version').notNull().default(1),
  })
const partTable = () => pgTable('part', { id: integer('id').primaryKey(), itemId: integer('item_id').notNull() })

type Database = Adapter.LifeguardDatabase
const { item } = tables()

async function rejection(promise: Promise<unknown>): Promise<Error & { readonly code?: string }> {
  const [outcome] = await Promise.allSettled([promise])
  if (outcome.status === 'fulfilled') throw new Error('was expected to be rejected, but was not')
  return outcome.reason
}

/** What the adapter does on every version of Drizzle that it is for. */
export function adapterSuite(adapter: typeof Adapter, database: UsedDatabase): void {
  const { createPool, drizzle, sqlStateOf, withTransaction } = adapter
  const open: Adapter.Pool[] = []
  let pools = 0
  let pool = undefined as unknown as Adapter.Pool
  let db = undefined as unknown as Database

  const connect = (url: string, max: number): { pool: Adapter.Pool; db: Database } => {
    const made = createPool({ connectionString: url, max, name: `suite ${++pools}` })
    open.push(made)
    return { pool: made, db: drizzle(made) }
  }

  beforeEach(async () => {
    ;({ pool, db } = connect(database.url, 2))
    await pool.query('truncate item, part')
  })
  afterEach(async () => {
    // Nothing is left in use by any test. Who has run out of time may be told so while his connection is being cleaned.
    for (const one of open)
      await vi.waitFor(() => expect(one.stats()).toMatchObject({ pool: { active: 0 }, waits: { waiting: 0 } }), 5_000)
    await Promise.all(open.splice(0).map((one) => one.end()))
  })

  const asItem = (id: number, name = `item ${id}`) => ({ id, name, version: 1 })

  describe('drizzle()', () => {
    test('refuses what is no pool, and options that its Drizzle does not have', () => {
      for (const strange of [undefined, null, {}, 'postgres://localhost/shop', db.$client]) {
        expect(() => drizzle(strange as never)).toThrow(/^pool is /)
      }
      for (const wrong of [
        { schemas: { item } },
        { relation: {} },
        { client: {} },
        { connection: database.url },
        null,
      ]) {
        expect(() => drizzle(pool, wrong as never)).toThrow(adapter.InvalidArgumentError)
      }
      expect(drizzle(pool, { logger: false }).$client).toBe(db.$client)
    })
  })

  describe('batch', () => {
    test('runs queries of any kind in one trip, and gives each what it gives when it is awaited', async () => {
      const [inserted, returned, , selected, counted] = await adapter.batch(db, [
        db.insert(item).values([asItem(1), asItem(2)]),
        db.insert(item).values(asItem(3)).returning({ id: item.id }),
        db.update(item).set({ name: 'new' }).where(sql`${item.id} < 3`),
        db.select({ name: item.name }).from(item).orderBy(item.id),
        db.$count(item),
      ])
      expect(inserted.rowCount).toBe(2)
      expect(returned).toEqual([{ id: 3 }])
      expect(selected.map(({ name }) => name)).toEqual(['new', 'new', 'item 3'])
      expect(counted).toBe(3)
    })

    test('is all or nothing, says which one failed, and belongs to the transaction around it', async () => {
      const twice = adapter.batch(db, [db.insert(item).values(asItem(1)), db.insert(item).values(asItem(1))])
      const error = await rejection(twice)
      expect(error).toBeInstanceOf(adapter.BatchError)
      expect([(error as Adapter.BatchError).index, sqlStateOf(error)]).toEqual([1, '23505'])
      const undo = new Error('undo')
      const work = withTransaction(db, async (tx) => {
        await adapter.batch(tx, [tx.insert(item).values(asItem(1)), db.insert(item).values(asItem(2))])
        expect(await names()).toEqual(['item 1', 'item 2'])
        throw undo
      })
      expect(await rejection(work)).toBe(undo)
      expect(await names()).toEqual([])
    })

    test('and what takes options refuse those that they do not have, and what is none', async () => {
      for (const wrong of [
        { nonsense: 1 },
        { connection: database.url },
        null,
        [],
        new Map(),
        Object.create({ a: 1 }),
      ]) {
        expect(() => drizzle(pool, wrong as never)).toThrow(adapter.InvalidArgumentError)
        const update = adapter.updateVersioned(db, item, { id: 1, version: 1 }, { name: 'a' }, wrong as never)
        expect(await rejection(update)).toBeInstanceOf(adapter.InvalidArgumentError)
        const work = withTransaction(db, async () => undefined, wrong as never)
        expect(await rejection(work)).toBeInstanceOf(adapter.InvalidArgumentError)
      }
      expect(() => drizzle({} as never)).toThrow(adapter.InvalidArgumentError)
    })

    test('refuses what has been awaited already', async () => {
      const running = Promise.resolve(db.select().from(item))
      expect(await rejection(adapter.batch(db, [running]))).toBeInstanceOf(adapter.InvalidArgumentError)
      // Nor is any of it run when one is of another pool, or of a transaction of Drizzle's own.
      const other = connect(database.url, 1)
      const strange = adapter.batch(db, [db.insert(item).values(asItem(51)), other.db.insert(item).values(asItem(52))])
      expect((await rejection(strange)).message).toMatch(/^query 1 of the batch is of another pool or transaction/)
      await db.transaction(async (tx) => {
        const mixed = adapter.batch(db, [tx.insert(item).values(asItem(53)), db.insert(item).values(asItem(54))])
        expect((await rejection(mixed)).message).toMatch(/^query 0 of the batch is of another pool or transaction/)
      })
      expect((await names()).filter((name) => /5[1-4]/.test(name))).toEqual([])
      await running
    })
  })

  const names = async (): Promise<string[]> =>
    (await db.select({ name: item.name }).from(item).orderBy(item.id)).map(({ name }) => name)

  const kill = async (pid: unknown): Promise<void> => {
    const admin = new pg.Client(database.url)
    await admin.connect()
    await admin.query('select pg_terminate_backend($1)', [pid])
    await admin.end()
  }

  const pidIn = async (tx: Adapter.TransactionOf<Database>): Promise<unknown> =>
    (await tx.execute<{ pid: number }>(sql`select pg_backend_pid() as pid`)).rows[0]?.pid

  describe('queries', () => {
    test('insert, select, update, delete and count', async () => {
      await db.insert(item).values([
        { id: 1, name: 'a' },
        { id: 2, name: 'b' },
      ])
      await db.update(item).set({ name: 'c' }).where(sql`${item.id} = 2`)
      expect(await names()).toEqual(['a', 'c'])
      expect(await db.$count(item)).toBe(2)
      expect(await db.delete(item).returning()).toHaveLength(2)
    })

    test('prepared run again on whatever connection is free', async () => {
      await db.insert(item).values({ id: 1, name: 'a' })
      const prepared = db
        .select()
        .from(item)
        .where(sql`${item.id} = ${sql.placeholder('id')}`)
        .prepare('by_id')
      const rows = await Promise.all([1, 2, 3, 4].map(() => prepared.execute({ id: 1 })))
      expect(rows.flat().map(({ name }) => name)).toEqual(['a', 'a', 'a', 'a'])
    })

    test('fail with an error in which the SQLSTATE is found', async () => {
      await db.insert(item).values({ id: 1, name: 'a' })
      const error = await rejection(Promise.resolve(db.insert(item).values({ id: 1, name: 'b' })))
      expect(sqlStateOf(error)).toBe('23505')
      expect(error.cause).toBeInstanceOf(pg.DatabaseError)
    })

    test('run on the pool, which stays the only one', async () => {
      expect(adapter.poolOf(db)).toBe(pool)
      expect(db.$client).toBe(pool.asPgPool())
      await Promise.all([1, 2, 3, 4].map(() => db.execute(sql`select pg_sleep(0.01)`)))
      const { rows } = await db.execute<{ n: number }>(
        sql`select count(*)::int as n from pg_stat_activity where application_name = current_setting('application_name')`,
      )
      expect(rows[0]?.n).toBeGreaterThan(0)
      expect(rows[0]?.n).toBeLessThanOrEqual(2)
    })
  })

  describe('withTransaction', () => {
    test('commits what everybody did in it, and rolls back as one', async () => {
      const value = await withTransaction(db, async (tx, core) => {
        await tx.insert(item).values({ id: 1, name: 'tx' })
        await db.insert(item).values({ id: 2, name: 'db' })
        await core.query("insert into item values (3, 'core')")
        await pool.query("insert into item values (4, 'pool')")
        return 'done'
      })
      expect(value).toBe('done')
      expect(await names()).toEqual(['tx', 'db', 'core', 'pool'])
      const error = await rejection(
        withTransaction(db, async (tx) => {
          await tx.delete(item)
          await db.insert(item).values({ id: 9, name: 'never' })
          throw new Error('undone')
        }),
      )
      expect(error.message).toBe('undone')
      expect(await names()).toHaveLength(4)
    })

    test('has the isolation that was asked for, and runs again after a serialization failure', async () => {
      await db.insert(item).values({ id: 1, name: '0' })
      const attempts: number[] = []
      let readers = 0
      const bothHaveRead = Promise.withResolvers<void>()
      await Promise.all(
        [1, 2].map(() =>
          withTransaction(
            db,
            async (tx, core) => {
              attempts.push(core.attempt)
              const [read] = await tx.select().from(item)
              readers += 1
              if (readers === 2) bothHaveRead.resolve()
              await bothHaveRead.promise
              await tx.update(item).set({ name: String(Number(read?.name) + 1) })
            },
            { isolation: 'serializable' },
          ),
        ),
      )
      expect(await names()).toEqual(['2'])
      expect(Math.max(...attempts)).toBeGreaterThan(1)
    })

    test('nested is a savepoint, with tx and with db; so are the transactions of Drizzle', async () => {
      await withTransaction(db, async (tx) => {
        await tx.insert(item).values({ id: 1, name: 'outer' })
        for (const on of [db, tx] as const) {
          await rejection(
            withTransaction(on as typeof db, async (inner) => {
              await inner.insert(item).values({ id: 2, name: 'undone' })
              throw new Error('undone')
            }),
          )
          await rejection(
            on.transaction(async (inner) => {
              await inner.insert(item).values({ id: 2, name: 'undone' })
              throw new Error('undone')
            }),
          )
        }
        await db.transaction(async (inner) => {
          await inner.insert(item).values({ id: 3, name: 'kept' })
          expect(await db.$count(item)).toBe(2)
        })
        expect(adapter.poolOf(tx)).toBe(pool)
      })
      expect(await names()).toEqual(['outer', 'kept'])
    })

    test("rolls back with Drizzle's own tx.rollback(), and refuses COMMIT and ROLLBACK as SQL", async () => {
      const error = await rejection(
        withTransaction(db, async (tx) => {
          await tx.insert(item).values({ id: 1, name: 'a' })
          tx.rollback()
        }),
      )
      expect(error.constructor.name).toBe('TransactionRollbackError')
      await withTransaction(db, async (tx) => {
        await tx.insert(item).values({ id: 2, name: 'b' })
        for (const text of ['rollback', 'commit']) {
          expect(adapterCode(await rejection(tx.execute(sql.raw(text))))).toBe('LIFEGUARD_INVALID_OPTION')
        }
      })
      expect(await names()).toEqual(['b'])
    })

    test('runs in its own transaction whatever its text looks like, also from inside of another', async () => {
      const texts = [
        (id: number) => `insert into item (id, name) values (${id}, 'a;b')`,
        (id: number) => `insert into item (id, name) values (${id}, 'c');`,
        (id: number) => `insert into item (id, name) values (${id}, 'd'); select 1`,
        (id: number) => `-- a comment\ninsert into item (id, name) values (${id}, 'e')`,
        (id: number) => `/* begin */ insert into item (id, name) values (${id}, 'f')`,
      ]
      await withTransaction(db, async (tx) => {
        const undone = pool.outsideTransaction(() =>
          pool.withTransaction(async () => {
            for (const [index, text] of texts.entries()) await tx.execute(sql.raw(text(index + 1)))
            for (const text of ['commit', 'select 1; commit', '/* x */ rollback']) {
              expect(adapterCode(await rejection(tx.execute(sql.raw(text))))).toBe('LIFEGUARD_INVALID_OPTION')
            }
            throw new Error('undo the other one')
          }),
        )
        expect((await rejection(undone)).message).toBe('undo the other one')
      })
      expect(await names()).toEqual(['a;b', 'c', 'd', 'e', 'f'])
    })

    test('nested, undoes a text of several statements with its own level alone', async () => {
      const two = (id: number, end = '') =>
        sql.raw(
          `/* ; */ insert into item (id, name) values (${id}, 'a;b'); insert into item (id, name) values (${id + 1}, 'c') ${end}`,
        )
      const undo = new Error('undo')
      await withTransaction(db, async (tx) => {
        await tx.execute(two(1, ';'))
        const levels = [
          withTransaction(db, async (inner) => {
            await inner.execute(two(11, '-- ; commit'))
            throw undo
          }),
          withTransaction(tx, async () => {
            // The outer object runs in the innermost level, as everything does.
            await tx.execute(two(21))
            throw undo
          }),
        ]
        for (const level of levels) expect(await rejection(level)).toBe(undo)
        const own = tx.transaction(async (inner) => {
          await inner.execute(two(31))
          throw undo
        })
        expect(await rejection(own)).toBe(undo)
        await tx.transaction((inner) => inner.execute(two(41, '/* begin */;')))
      })
      const { rows } = await pool.query<{ id: number }>('select id from item order by id')
      expect(rows.map(({ id }) => id)).toEqual([1, 2, 41, 42])
    })

    test('cannot be used when it is over, nor from a transaction that is not its own', async () => {
      const kept: Adapter.TransactionOf<Database>[] = []
      await withTransaction(db, async (tx) => {
        kept.push(tx)
        await tx.insert(item).values({ id: 1, name: 'in time' })
      })
      const [tx] = kept
      if (tx === undefined) throw new Error('bug: no transaction')
      const late = (): Promise<unknown> => Promise.resolve(tx.insert(item).values({ id: 2, name: 'too late' }))
      expect((await rejection(late())).cause).toMatchObject({ code: 'LIFEGUARD_TRANSACTION_CLOSED' })
      await withTransaction(db, async (other) => {
        expect((await rejection(late())).cause).toMatchObject({ code: 'LIFEGUARD_TRANSACTION_CLOSED' })
        await other.insert(item).values({ id: 3, name: 'another' })
      })
      expect(await names()).toEqual(['in time', 'another'])
    })

    test('that was begun is finished while the pool ends', async () => {
      let ended: Promise<void> | undefined
      await withTransaction(db, async (tx) => {
        await tx.insert(item).values({ id: 1, name: 'before' })
        ended = pool.end()
        await tx.insert(item).values({ id: 2, name: 'tx' })
        await db.insert(item).values({ id: 3, name: 'db' })
      })
      await ended
      expect(adapter.sqlStateOf(await rejection(Promise.resolve(db.select().from(item))))).toBeUndefined()
      ;({ pool, db } = connect(database.url, 2))
      expect(await names()).toEqual(['before', 'tx', 'db'])
    })

    test('that swallowed a failure is not committed', async () => {
      const error = await rejection(
        withTransaction(db, async (tx) => {
          await tx.insert(item).values({ id: 1, name: 'a' })
          await rejection(tx.execute(sql`select nonsense`))
        }),
      )
      expect(error.code).toBe('LIFEGUARD_TRANSACTION_ROLLED_BACK')
      expect(await names()).toEqual([])
    })

    test('has a time, after which nothing of it is left', async () => {
      const error = await rejection(
        withTransaction(
          db,
          async (tx) => {
            await tx.insert(item).values({ id: 1, name: 'a' })
            await tx.execute(sql`select pg_sleep(30)`)
          },
          { timeoutMs: 500 },
        ),
      )
      expect(error.code).toBe('LIFEGUARD_TIMEOUT')
      expect(await names()).toEqual([])
    })

    test('refuses a database and a transaction that it does not know', async () => {
      expect((await rejection(withTransaction({ transaction: async () => undefined }, async () => 1))).code).toBe(
        'LIFEGUARD_INVALID_OPTION',
      )
      await db.transaction(async (tx) => {
        expect((await rejection(withTransaction(tx, async () => 1))).code).toBe('LIFEGUARD_INVALID_OPTION')
      })
    })
  })

  describe("Drizzle's own transaction", () => {
    test('commits and rolls back, with savepoints inside', async () => {
      await db.transaction(
        async (tx) => {
          await tx.insert(item).values({ id: 1, name: 'a' })
          await rejection(
            tx.transaction(async (inner) => {
              await inner.insert(item).values({ id: 2, name: 'b' })
              throw new Error('undone')
            }),
          )
        },
        { isolationLevel: 'repeatable read', accessMode: 'read write' },
      )
      expect(await names()).toEqual(['a'])
      await rejection(
        db.transaction(async (tx) => {
          await tx.delete(item)
          throw new Error('undone')
        }),
      )
      expect(await names()).toEqual(['a'])
    })

    test('leaks no connection when its BEGIN fails', async () => {
      for (let time = 0; time < 5; time++) {
        await rejection(db.transaction(async () => 1, { isolationLevel: 'nonsense' as 'serializable' }))
      }
      expect(pool.stats().pool.active).toBe(0)
    })

    test('leaks no connection when its session is killed under BEGIN', async () => {
      await using proxy = await startFaultProxy({ target: database.url })
      const proxied = connect(proxy.url, 1)
      for (let time = 0; time < 3; time++) {
        await proxy.rule({ statement: 'BEGIN', when: 'after', action: 'cut' })
        await rejection(proxied.db.transaction(async () => 1))
        expect(proxied.pool.stats().pool.active).toBe(0)
        await proxied.db.execute(sql`select 1`)
      }
    })

    test('survives a killed session, and says why it failed, not that it could not roll back', async () => {
      const error = await rejection(
        db.transaction(async (tx) => {
          await tx.insert(item).values({ id: 1, name: 'a' })
          await kill(await pidIn(tx))
          // Time for the socket to tell it, with nobody but the pool to hear it.
          await pool.query('select pg_sleep(0.05)')
          throw new Error('the reason')
        }),
      )
      expect(error.message).toBe('the reason')
      expect(await names()).toEqual([])
    })

    test('rejects when COMMIT committed nothing, and when nobody knows', async () => {
      const swallowed = await rejection(
        db.transaction(async (tx) => {
          await rejection(tx.execute(sql`select nonsense`))
        }),
      )
      expect(adapterCode(swallowed)).toBe('LIFEGUARD_TRANSACTION_ROLLED_BACK')
      await using proxy = await startFaultProxy({ target: database.url })
      const proxied = connect(proxy.url, 1)
      await proxied.db.execute(sql`select 1`)
      await proxy.rule({ statement: 'COMMIT', when: 'after', action: 'cut' })
      const lost = await rejection(proxied.db.transaction((tx) => tx.insert(item).values({ id: 7, name: 'x' })))
      expect(adapterCode(lost)).toBe('LIFEGUARD_COMMIT_UNKNOWN')
    })
  })

  describe('locks and versions', () => {
    test('locks are those of the pool', async () => {
      const other = connect(database.url, 2)
      await adapter.withLock(db, 'invoice', async () => {
        expect(await adapter.tryWithLock(other.db, 'invoice', async () => 1)).toEqual({ acquired: false })
      })
      expect(await adapter.tryWithLock(other.db, 'invoice', async () => 1)).toEqual({ acquired: true, value: 1 })
      expect(await adapter.withSemaphore(db, 'export', 2, async () => 'out')).toBe('out')
    })

    test('a version that has gone on is a conflict, which is tried again', async () => {
      await db.insert(item).values({ id: 1, name: 'a' })
      const row = await adapter.updateVersioned(db, item, { id: 1, version: 1 }, { name: 'b' })
      expect(row).toEqual({ id: 1, name: 'b', version: 2 })
      const conflict = await rejection(adapter.updateVersioned(db, item, { id: 1, version: 1 }, { name: 'c' }))
      expect(conflict.code).toBe('LIFEGUARD_VERSION_CONFLICT')
      let version = 1
      const saved = await adapter.withOptimisticRetry(db, () =>
        adapter.updateVersioned(db, item, { id: 1, version: version++ }, { name: 'd' }),
      )
      expect(saved).toEqual({ id: 1, name: 'd', version: 3 })
      await withTransaction(db, (tx) => adapter.updateVersioned(tx, item, { id: 1, version: 3 }, { name: 'e' }))
      expect(await names()).toEqual(['e'])
    })

    test('the version may be in a column of another name, and the update has limits as everything has', async () => {
      await db.insert(item).values({ id: 7, name: 'a' })
      const byId = await adapter.updateVersioned(
        db,
        item,
        { id: 7, version: 1 },
        { name: 'b' },
        { versionColumn: 'id' },
      )
      expect(byId).toEqual({ id: 8, name: 'b', version: 1 })
      const stopped = adapter.updateVersioned(
        db,
        item,
        { id: 8, version: 1 },
        { name: 'c' },
        { signal: AbortSignal.abort(new Error('no more')) },
      )
      expect(adapterCode(await rejection(stopped))).toBe('LIFEGUARD_ABORTED')
      expect(await names()).toEqual(['b'])
      const unknown = adapter.updateVersioned(
        db,
        item,
        { id: 8 } as never,
        { name: 'c' },
        { versionColumn: 'nonsense' },
      )
      expect(await rejection(unknown)).toMatchObject({ code: 'LIFEGUARD_INVALID_OPTION' })
    })

    test('an update that says too little is refused', async () => {
      for (const [key, changes] of [
        [{ version: 1 }, { name: 'x' }],
        [{ id: 1 }, { name: 'x' }],
        [{ id: 1, version: 1 }, {}],
        [
          { id: 1, version: 1 },
          { name: 'x', version: 9 },
        ],
        [{ id: 1, version: 1, nonsense: 1 }, { name: 'x' }],
        [{ id: sql`id`, version: 1 }, { name: 'x' }],
        [{ id: item.id, version: 1 }, { name: 'x' }],
        [{ id: 1, version: sql`version` }, { name: 'x' }],
        [{ id: { not: 0 }, version: 1 }, { name: 'x' }],
        [{ id: [1], version: 1 }, { name: 'x' }],
      ] as const) {
        const error = await rejection(
          adapter.updateVersioned(db, item, key as unknown as { version: number }, changes as object),
        )
        expect(error.code).toBe('LIFEGUARD_INVALID_OPTION')
      }
    })
  })

  function adapterCode(error: unknown): unknown {
    // Drizzle wraps whatever the statement threw.
    for (let one = error; one instanceof Error; one = one.cause) {
      if ('code' in one && String(one.code).startsWith('LIFEGUARD_')) return one.code
    }
    return undefined
  }
}
