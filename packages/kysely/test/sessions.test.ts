import { adapterPool } from '@pg-lifeguard/core/adapter'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { type ControlledTransaction, Kysely, type LogEvent, sql } from 'kysely'
import { Migrator } from 'kysely/migration'
import { afterEach, describe, expect, test } from 'vitest'
import {
  batch,
  ConnectionReleasedError,
  createPool,
  InvalidArgumentError,
  LifeguardDialect,
  type Pool,
  sqlStateOf,
  withTransaction,
} from '../src/index.js'

interface Database {
  entry: { id: number; name: string }
}

const database = useDatabase({ setup: 'create table entry (id int primary key, name text not null)' })
const pools: Pool[] = []

afterEach(async () => {
  for (const pool of pools.splice(0)) {
    await eventually('all connections are given back', () => pool.stats().pool.active === 0)
    await pool.query('truncate entry')
    await pool.end({ timeoutMs: 5_000 })
  }
})

function open(max = 2, log?: (event: LogEvent) => void): { db: Kysely<Database>; pool: Pool } {
  const pool = createPool({ connectionString: database.url, max, acquireTimeoutMs: 2_000 })
  pools.push(pool)
  return { pool, db: new Kysely<Database>({ dialect: new LifeguardDialect(pool), ...(log && { log }) }) }
}

async function eventually(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const until = performance.now() + 10_000
  while (!(await isSo())) {
    if (performance.now() > until) throw new Error(`did not happen in 10 s: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

async function rejection(promise: Promise<unknown>): Promise<Error> {
  const [outcome] = await Promise.allSettled([promise])
  if (outcome.status === 'fulfilled') throw new Error('was expected to be rejected, but was not')
  return outcome.reason
}

const one = (id: number) => ({ id, name: `n${id}` })
const ids = async (db: Kysely<Database>): Promise<number[]> =>
  (await db.selectFrom('entry').select('id').orderBy('id').execute()).map(({ id }) => id)

describe('a session of db.connection()', () => {
  test('streams in the transaction that its caller has begun by a statement, and leaves it open', async () => {
    const { db } = open()
    await db.connection().execute(async (session) => {
      await sql`begin`.execute(session)
      await session
        .insertInto('entry')
        .values([one(1), one(2)])
        .execute()
      for await (const { id } of session.selectFrom('entry').selectAll().stream(1)) if (id === 1) break
      for await (const _ of session.selectFrom('entry').selectAll().stream(10)) await Promise.resolve()
      await sql`rollback`.execute(session)
    })
    expect(await ids(db)).toEqual([])
  })

  test('is not to be used behind its end, and what nobody waited for takes no connection along', async () => {
    const { db, pool } = open(1)
    const late: Promise<unknown>[] = []
    for (let n = 0; n < 4; n++) {
      await db.connection().execute(async (session) => {
        late.push(sql`select set_config('a.b', 'c', false)`.execute(session))
      })
    }
    for (const outcome of await Promise.allSettled(late)) {
      if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(ConnectionReleasedError)
    }
    await eventually('all connections are given back', () => pool.stats().pool.active === 0)
    const kept = await db.connection().execute(async (session) => session)
    expect(await rejection(sql`select 1`.execute(kept))).toBeInstanceOf(ConnectionReleasedError)
    expect(await rejection(batch(kept, [kept.selectFrom('entry').selectAll()]))).toBeInstanceOf(ConnectionReleasedError)
    const rows = kept.selectFrom('entry').selectAll().stream()[Symbol.asyncIterator]()
    expect(await rejection(rows.next())).toBeInstanceOf(ConnectionReleasedError)
  })

  test('is not left for another one by withTransaction: that is refused', async () => {
    const { db } = open()
    await db.connection().execute(async (session) => {
      await sql`create temp table basket (item int)`.execute(session)
      expect(await rejection(withTransaction(session, async () => 1))).toBeInstanceOf(InvalidArgumentError)
    })
  })
})

describe("a transaction of Kysely's own", () => {
  test('is not nested by withTransaction, which could not undo it: that is refused', async () => {
    const { db } = open()
    await db.transaction().execute(async (trx) => {
      await trx.insertInto('entry').values(one(1)).execute()
      const error = await rejection(withTransaction(trx, async () => 1))
      expect(error).toBeInstanceOf(InvalidArgumentError)
      expect(error.message).toContain("a transaction of Kysely's own")
    })
    expect(await ids(db)).toEqual([1])
    // Inside of the pool's it is a savepoint, and can be nested.
    await withTransaction(db, async () => {
      await db.transaction().execute(async (trx) => {
        const inner = withTransaction(trx, async (nested) => {
          await nested.insertInto('entry').values(one(2)).execute()
          throw new Error('undo')
        })
        expect((await rejection(inner)).message).toBe('undo')
        await trx.insertInto('entry').values(one(3)).execute()
      })
    })
    expect(await ids(db)).toEqual([1, 3])
  })

  test('ended by hand, whose COMMIT fails, gives its session back, and nothing more runs in it', async () => {
    const { db, pool } = open()
    await pool.query('alter table entry add constraint names unique (name) deferrable initially deferred')
    try {
      const late = await db.startTransaction().execute()
      await late
        .insertInto('entry')
        .values([one(1), { ...one(2), name: 'n1' }])
        .execute()
      expect(sqlStateOf(await rejection(late.commit().execute()))).toBe('23505')
      expect(pool.stats().pool.active).toBe(0)
      expect(await rejection(late.insertInto('entry').values(one(3)).execute())).toBeInstanceOf(Error)
      await late.rollback().execute()
      expect(await rejection(late.insertInto('entry').values(one(3)).execute())).toBeInstanceOf(Error)
    } finally {
      await pool.query('alter table entry drop constraint names')
    }
    const aborted = await db.startTransaction().execute()
    await aborted.insertInto('entry').values(one(4)).execute()
    await rejection(sql`select 1 / 0`.execute(aborted))
    expect(await rejection(aborted.commit().execute())).toMatchObject({ code: 'LIFEGUARD_TRANSACTION_ROLLED_BACK' })
    expect(pool.stats().pool.active).toBe(0)
    expect(await rejection(aborted.insertInto('entry').values(one(5)).execute())).toBeInstanceOf(Error)
    await aborted.rollback().execute()
    const killed = await db.startTransaction().execute()
    const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(killed)
    await adapterPool(pool).terminateSession(rows[0]?.pid ?? 0)
    await rejection(killed.commit().execute())
    expect(pool.stats().pool.active).toBe(0)
    expect(await rejection(killed.insertInto('entry').values(one(6)).execute())).toBeInstanceOf(Error)
    await killed.rollback().execute()
    // A session of db.connection() goes on.
    await db.connection().execute(async (session) => {
      await rejection(
        session.transaction().execute(async (trx) => {
          await rejection(sql`select 1 / 0`.execute(trx))
        }),
      )
      await session.insertInto('entry').values(one(7)).execute()
    })
    expect(await ids(db)).toEqual([7])
    expect(pool.stats().pool.active).toBe(0)
  })

  test('ended by hand, whose COMMIT failed, is not called committed by another COMMIT', async () => {
    const { db, pool } = open(3)
    await pool.query('alter table entry add constraint names unique (name) deferrable initially deferred')
    const serializable = () => db.startTransaction().setIsolationLevel('serializable').execute()
    const failing: Readonly<Record<string, () => Promise<ControlledTransaction<Database>>>> = {
      'a deferred constraint': async () => {
        const trx = await db.startTransaction().execute()
        const twice = [one(1), { ...one(2), name: 'n1' }]
        await trx.insertInto('entry').values(twice).execute()
        return trx
      },
      'a write skew': async () => {
        const [first, second] = [await serializable(), await serializable()]
        await ids(first)
        await ids(second)
        await first.insertInto('entry').values(one(10)).execute()
        await second.insertInto('entry').values(one(11)).execute()
        await first.commit().execute()
        return second
      },
      'a lost connection': async () => {
        const trx = await db.startTransaction().execute()
        await trx.insertInto('entry').values(one(12)).execute()
        const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(trx)
        await adapterPool(pool).terminateSession(rows[0]?.pid ?? 0)
        return trx
      },
      'a ROLLBACK as a statement': async () => {
        const trx = await db.startTransaction().execute()
        await trx.insertInto('entry').values(one(13)).execute()
        await sql`rollback`.execute(trx)
        return trx
      },
      'a failed savepoint': async () => {
        const trx = await db.startTransaction().execute()
        await trx.insertInto('entry').values(one(14)).execute()
        const inside = await trx.savepoint('inside').execute()
        await rejection(sql`select 1 / 0`.execute(inside))
        await rejection(inside.releaseSavepoint('inside').execute())
        return trx
      },
    }
    try {
      for (const [what, begin] of Object.entries(failing)) {
        const trx = await begin()
        await rejection(trx.commit().execute())
        await eventually(`a session is given back after ${what}`, () => pool.stats().pool.active === 0)
        // The oldest Kysely throws some of it at once.
        await rejection((async () => await trx.commit().execute())())
        await rejection((async () => await trx.savepoint('more').execute())())
        await rejection((async () => await trx.insertInto('entry').values(one(20)).execute())())
        await Promise.allSettled([(async () => await trx.rollback().execute())()])
        await rejection((async () => await trx.commit().execute())())
        expect(pool.stats().pool.active, what).toBe(0)
      }
      expect(await ids(db)).toEqual([10])
    } finally {
      await pool.query('alter table entry drop constraint names')
    }
  })

  test('ended by hand, rolls back to its savepoints, and after a loss of its connection', async () => {
    const { db, pool } = open(3)
    const trx = await db.startTransaction().execute()
    await trx.insertInto('entry').values(one(1)).execute()
    const inside = await trx.savepoint('inside').execute()
    await inside.insertInto('entry').values(one(2)).execute()
    await rejection(sql`select 1 / 0`.execute(inside))
    await inside.rollbackToSavepoint('inside').execute()
    await inside.insertInto('entry').values(one(3)).execute()
    await trx.commit().execute()
    expect(await ids(db)).toEqual([1, 3])
    const lost = await db.startTransaction().execute()
    const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(lost)
    await adapterPool(pool).terminateSession(rows[0]?.pid ?? 0)
    await lost.rollback().execute()
    await eventually('the session is given back', () => pool.stats().pool.active === 0)
    await rejection((async () => await lost.insertInto('entry').values(one(4)).execute())())
  })

  test('is not begun by a statement that nothing else belongs to, but may be in db.connection()', async () => {
    const { db, pool } = open(1)
    for (const text of ['begin', 'start transaction', 'select 1; begin', '/* mine */ begin; select 1']) {
      const error = await rejection(sql.raw(text).execute(db))
      expect(error).toBeInstanceOf(InvalidArgumentError)
      expect(error.message).toMatch(/begins a transaction and leaves it open/)
      await eventually('the session is given back', () => pool.stats().pool.active === 0)
    }
    expect(sqlStateOf(await rejection(sql.raw('begin; select 1 / 0').execute(db)))).toBe('22012')
    await sql.raw("begin; insert into entry values (1, 'n1'); commit").execute(db)
    await db.connection().execute(async (session) => {
      await sql`begin`.execute(session)
      await session.insertInto('entry').values(one(2)).execute()
      await sql`commit`.execute(session)
    })
    expect(await ids(db)).toEqual([1, 2])
  })

  test('that is over refuses the streams that were made of it, and one of the Kysely belongs to whoever reads', async () => {
    const { db, pool } = open()
    await db
      .insertInto('entry')
      .values([one(1), one(2)])
      .execute()
    const read = async (stream: AsyncIterable<{ id: number }>): Promise<number[]> => {
      const found: number[] = []
      for await (const { id } of stream) found.push(id)
      return found
    }
    const streamOf = (on: Kysely<Database>) => on.selectFrom('entry').select('id').orderBy('id').stream(1)
    const inTransactions = [
      () => withTransaction(db, async (trx) => [streamOf(trx)] as const),
      () => db.transaction().execute(async (trx) => [streamOf(trx)] as const),
      () => db.connection().execute(async (session) => [streamOf(session)] as const),
      () => withTransaction(db, async (trx) => await withTransaction(trx, async (inner) => [streamOf(inner)] as const)),
    ]
    for (const make of inTransactions) {
      const [stream] = await make()
      expect((await rejection(read(stream))).message).toMatch(/already committed|already released/)
    }
    // One that was read in part inside of it is over with it.
    const begun = await withTransaction(db, async () => {
      const stream = streamOf(db)
      expect((await stream.next()).value).toEqual({ id: 1 })
      return [stream] as const
    })
    expect(await rejection(read(begun[0]))).toMatchObject({ code: 'LIFEGUARD_TRANSACTION_CLOSED' })
    // Kysely asks for nothing before the first row: what is read outside has nothing of the transaction.
    const undone = await rejection(
      withTransaction(db, async (trx) => {
        await trx.insertInto('entry').values(one(3)).execute()
        expect(await read(streamOf(db))).toEqual([1, 2, 3])
        throw Object.assign(new Error('undone'), { stream: streamOf(db) })
      }),
    )
    expect(await read((undone as unknown as { stream: AsyncIterable<{ id: number }> }).stream)).toEqual([1, 2])
    const outside = streamOf(db)
    expect(await withTransaction(db, () => read(outside))).toEqual([1, 2])
    await eventually('nothing is held', () => pool.stats().pool.active === 0)
  })

  test('is of a dialect that refuses what is no pool, and options that it does not have', async () => {
    await using pool = createPool()
    expect(() => new LifeguardDialect({ pool } as never)).toThrow(InvalidArgumentError)
    expect(() => new LifeguardDialect(pool, { endPoolOnDestroyed: true } as object)).toThrow(/endPoolOnDestroy /)
    expect(() => new LifeguardDialect(pool, { endPoolOnDestroy: 'no' } as object)).toThrow(/endPoolOnDestroy is "no"/)
    expect(() => new LifeguardDialect(pool, null as never)).toThrow(InvalidArgumentError)
  })

  test('takes no batch once it is over', async () => {
    const { db } = open()
    const trx = await db.startTransaction().execute()
    await trx.insertInto('entry').values(one(1)).execute()
    const late = trx.insertInto('entry').values(one(2))
    await trx.rollback().execute()
    expect((await rejection(batch(trx, [late]))).message).toMatch(/already (?:rolled back|released)/)
    expect(await ids(db)).toEqual([])
  })

  test('is logged from its beginning to its end, and a COMMIT that fails as an error', async () => {
    const events: string[] = []
    const { db, pool } = open(2, ({ level, query }) => events.push(`${level} ${query.sql.split(' ')[0]}`))
    await pool.query('alter table entry add constraint names unique (name) deferrable initially deferred')
    try {
      await db
        .transaction()
        .setIsolationLevel('serializable')
        .execute((trx) => trx.insertInto('entry').values(one(1)).execute())
      const twice = [one(2), { ...one(3), name: 'n2' }]
      const failed = db.transaction().execute((trx) => trx.insertInto('entry').values(twice).execute())
      expect(sqlStateOf(await rejection(failed))).toBe('23505')
      expect(events.map((event) => event.replace('query ', ''))).toEqual([
        ...['start', 'insert', 'commit'],
        ...['begin', 'insert', 'error commit', 'rollback'],
      ])
    } finally {
      await pool.query('alter table entry drop constraint names')
    }
  })

  test('goes on behind a stream that was aborted', async () => {
    const { db } = open()
    const slow = sql<{ s: unknown }>`(select pg_sleep(0.05) as s from generate_series(1, 20))`.as('slow')
    await db.transaction().execute(async (trx) => {
      await trx.insertInto('entry').values(one(1)).execute()
      const stop = new AbortController()
      const rows = trx
        .selectFrom(slow)
        .selectAll()
        .stream({ chunkSize: 1, signal: stop.signal } as never)
      const reading = (async () => {
        for await (const _ of rows) stop.abort(new Error('enough'))
      })()
      expect((await rejection(reading)).message).toContain('enough')
      await trx.insertInto('entry').values(one(2)).execute()
    })
    expect(await ids(db)).toEqual([1, 2])
  })

  test('may change the schema between two runs of a query, as migrations do', async () => {
    const { db } = open(1)
    const migrations = {
      a: { up: async (own: Kysely<unknown>) => void (await sql`select * from entry`.execute(own)) },
      b: {
        up: async (own: Kysely<unknown>) => {
          await sql`select * from entry`.execute(own)
          await own.schema.alterTable('entry').addColumn('extra', 'integer').execute()
        },
      },
      c: { up: async (own: Kysely<unknown>) => void (await sql`select * from entry`.execute(own)) },
    }
    const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } })
    const { error, results } = await migrator.migrateToLatest()
    expect([error, results?.map(({ status }) => status)]).toEqual([undefined, ['Success', 'Success', 'Success']])
    await sql`alter table entry drop column extra`.execute(db)
    await sql`drop table kysely_migration, kysely_migration_lock`.execute(db)
  })
})

describe("'kill session'", () => {
  const kill = (signal: AbortSignal) => ({ signal, inflightQueryAbortStrategy: 'kill session' as const })
  const sleeping = async (pool: Pool): Promise<boolean> => {
    const { servers } = await pool.health()
    if (servers[0]?.status !== 'up') return false
    const other = createPool({ connectionString: database.url, max: 1 })
    const text = "select from pg_stat_activity where query like 'select pg_sleep(3%' and state = 'active'"
    const { rows } = await other.query(text)
    await other.end()
    return rows.length > 0
  }

  test('in a transaction ends the session, and so the transaction', async () => {
    const { db, pool } = open(1)
    const stop = new AbortController()
    const run = db.transaction().execute(async (trx) => {
      await trx.insertInto('entry').values(one(1)).execute()
      const killed = sql`select pg_sleep(30)`.execute(trx, kill(stop.signal))
      await Promise.all([
        rejection(killed),
        eventually('it sleeps', () => sleeping(pool)).then(() => stop.abort(new Error('enough'))),
      ])
      await trx.selectFrom('entry').selectAll().execute()
    })
    expect(await rejection(run)).toBeInstanceOf(Error)
    await eventually('nobody sleeps', async () => !(await sleeping(pool)))
    expect(await ids(db)).toEqual([])
  })

  test('needs no place in a pool that is full', async () => {
    const { db, pool } = open(1)
    const stop = new AbortController()
    const killed = sql`select pg_sleep(31)`.execute(db, kill(stop.signal))
    await Promise.all([
      rejection(killed),
      eventually('it sleeps', () => sleeping(pool)).then(() => stop.abort(new Error('enough'))),
    ])
    await eventually('nobody sleeps', async () => !(await sleeping(pool)))
    expect(await ids(db)).toEqual([])
  })
})

test('several statements in one text give no rows, as they do on the stock driver', async () => {
  const { db } = open()
  expect((await sql`select 1 as x; select 2 as x`.execute(db)).rows).toEqual([])
})
