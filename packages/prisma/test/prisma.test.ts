import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { afterAll, beforeEach, describe, expect, expectTypeOf, test } from 'vitest'
import { PrismaClient } from '../generated/prisma/client.js'
import {
  type Transaction as CoreTransaction,
  classify,
  createPool,
  InvalidArgumentError,
  LifeguardError,
  lifeguard,
  lifeguardAdapter,
  OperationAbortedError,
  OperationTimeoutError,
  poolOf,
  sqlStateOf,
  TransactionRolledBackError,
  tryWithLock,
  updateVersioned,
  VersionConflictError,
  withLock,
  withOptimisticRetry,
  withSemaphore,
  withTransaction,
} from '../src/index.js'
import { type Made, make, rejection, tables, until } from './schema.js'

const database = useDatabase({ setup: tables })

let made: Made | undefined
let { prisma, pool } = {} as Made

beforeEach(async () => {
  made ??= make(database.url)
  ;({ prisma, pool } = made)
  await pool.query('truncate item, part')
})

afterAll(async () => {
  await made?.prisma.$disconnect()
  await made?.pool.end()
})

/** A statement under Prisma's timeout was cancelled; on a machine that is very busy it may not even have begun. */
const cutShort = ['LIFEGUARD_ABORTED', 'P2028']

async function names(): Promise<string[]> {
  return (await prisma.item.findMany({ orderBy: { id: 'asc' } })).map(({ name }) => name)
}

describe('queries', () => {
  test('run, count what they changed, and give every connection back', async () => {
    await prisma.item.create({ data: { id: 1, name: 'a' } })
    expect(
      await prisma.item.createMany({
        data: [
          { id: 2, name: 'b' },
          { id: 3, name: 'c' },
        ],
      }),
    ).toEqual({ count: 2 })
    expect(await prisma.item.updateMany({ data: { stock: 1 } })).toEqual({ count: 3 })
    expect(await names()).toEqual(['a', 'b', 'c'])
    expect(await prisma.item.delete({ where: { id: 3 } })).toMatchObject({ name: 'c', stock: 1 })
    expect(await prisma.item.aggregate({ _sum: { stock: true } })).toEqual({ _sum: { stock: 2 } })
    expect(pool.stats()).toMatchObject({ pool: { active: 0 }, waits: { waiting: 0 } })
  })

  test('write nested rows, and read them back over joins and over queries', async () => {
    const parts = { create: [{ label: 'x' }, { label: 'y' }] }
    await prisma.item.create({ data: { id: 1, name: 'a', parts } })
    for (const relationLoadStrategy of ['join', 'query'] as const) {
      const item = await prisma.item.findUniqueOrThrow({
        relationLoadStrategy,
        where: { id: 1 },
        include: { parts: { orderBy: { label: 'asc' } } },
      })
      expect(item.parts.map(({ label }) => label)).toEqual(['x', 'y'])
    }
    expect(await prisma.item.findUnique({ where: { id: 1 } }).parts()).toHaveLength(2)
    const failed = prisma.item.create({
      data: { id: 2, name: 'b', parts: { create: [{ label: 'z' }, { label: 'x' }] } },
    })
    expect(await rejection(failed)).toMatchObject({ code: 'P2002' })
    expect(await names()).toEqual(['a'])
  })

  test('are raw, too', async () => {
    const id = 1
    expect(await prisma.$executeRaw`insert into item (id, name) values (${id}, ${'a'})`).toBe(1)
    expect(await prisma.$queryRaw`select id, name from item where id = any(${[1, 2]})`).toEqual([{ id: 1, name: 'a' }])
    expect(await prisma.$queryRawUnsafe('select $1::int + 1 as n', 41)).toEqual([{ n: 42 }])
    expect(await prisma.$executeRawUnsafe('delete from item where id = $1', 1)).toBe(1)
  })

  test('of several statements in one text count together, and give no rows', async () => {
    const both = "insert into item (id, name) values (1, 'a'); insert into item (id, name) values (2, 'b'), (3, 'c')"
    expect(await prisma.$executeRawUnsafe(both)).toBe(3)
    expect(await prisma.$queryRawUnsafe('select 1 as one; select id from item')).toEqual([])
    expect(
      await withTransaction(prisma, (tx) => tx.$executeRawUnsafe('delete from item where id = 1; delete from item')),
    ).toBe(3)
    expect(await prisma.item.count()).toBe(0)
  })
})

describe("Prisma's own transactions", () => {
  test('commit, roll back, and keep their isolation', async () => {
    await prisma.$transaction(
      async (tx) => {
        expect(await tx.$queryRaw`select current_setting('transaction_isolation') as level`).toEqual([
          { level: 'serializable' },
        ])
        await tx.item.create({ data: { id: 1, name: 'kept' } })
      },
      { isolationLevel: 'Serializable' },
    )
    const failed = prisma.$transaction(async (tx) => {
      await tx.item.create({ data: { id: 2, name: 'lost' } })
      throw new Error('no')
    })
    expect((await rejection(failed)).message).toBe('no')
    expect(await names()).toEqual(['kept'])
    const levels = {
      ReadUncommitted: 'read uncommitted', // which is what PostgreSQL calls it, and treats as the next one
      ReadCommitted: 'read committed',
      RepeatableRead: 'repeatable read',
      Serializable: 'serializable',
    } as const
    for (const [isolationLevel, level] of Object.entries(levels)) {
      const read = async (tx: Pick<typeof prisma, '$queryRaw'>) =>
        await tx.$queryRaw<{ level: string }[]>`select current_setting('transaction_isolation') as level`
      const [row] = await prisma.$transaction(read, { isolationLevel: isolationLevel as keyof typeof levels })
      expect(row?.level).toBe(level)
    }
  })

  test('in batches are all or nothing, in their order', async () => {
    const made = await prisma.$transaction([
      prisma.item.create({ data: { id: 1, name: 'a' } }),
      prisma.item.update({ where: { id: 1 }, data: { name: 'b' } }),
      prisma.item.findUnique({ where: { id: 1 } }),
      prisma.$queryRaw`select count(*)::int as n from item`,
    ])
    expect(made).toMatchObject([{ name: 'a' }, { name: 'b' }, { name: 'b' }, [{ n: 1 }]])
    const failed = prisma.$transaction([
      prisma.item.create({ data: { id: 2, name: 'c' } }),
      prisma.item.create({ data: { id: 1, name: 'd' } }),
    ])
    expect(await rejection(failed)).toMatchObject({ code: 'P2002' })
    expect(await names()).toEqual(['b'])
  })

  test('nest in each other, as savepoints', async () => {
    await prisma.$transaction(async (tx) => {
      await tx.item.create({ data: { id: 1, name: 'outer' } })
      const inner = tx.$transaction(async (nested) => {
        await nested.item.create({ data: { id: 2, name: 'inner' } })
        await nested.item.create({ data: { id: 1, name: 'twice' } })
      })
      expect(await rejection(inner)).toMatchObject({ code: 'P2002' })
      await tx.$transaction((nested) => nested.item.create({ data: { id: 3, name: 'third' } }))
    })
    expect(await names()).toEqual(['outer', 'third'])
  })

  test('cost one round trip for BEGIN and the first statement together', async () => {
    const seen: string[] = []
    const logged = new PrismaClient({ adapter: lifeguardAdapter(pool), log: [{ emit: 'event', level: 'query' }] })
    logged.$on('query', ({ query }) => seen.push(query))
    await logged.$transaction((tx) => tx.item.count())
    expect(seen).toHaveLength(2)
    expect(seen[1]).toBe('-- Implicit "COMMIT" query via underlying driver')
  })

  test('that swallow the failure of a statement are not committed, and say so', async () => {
    const failed = prisma.$transaction(async (tx) => {
      await tx.item.create({ data: { id: 1, name: 'a' } })
      await rejection(tx.item.create({ data: { id: 1, name: 'b' } }))
    })
    expect(await rejection(failed)).toBeInstanceOf(TransactionRolledBackError)
    expect(await names()).toEqual([])
  })

  test('that run into their timeout are cancelled on the server, at once', async () => {
    const failed = rejection(
      prisma.$transaction((tx) => tx.$queryRaw`select 'timed out', pg_sleep(30)::text`, { timeout: 1_000 }),
    )
    expect(cutShort).toContain(((await failed) as { code?: string }).code)
    await until(async () => (await activeWith('timed out')) === 0 && pool.stats().pool.active === 0)
    const late = prisma.$transaction(
      async (tx) => {
        await tx.item.create({ data: { id: 1, name: 'a' } })
        await until(() => pool.stats().pool.active === 0)
        await tx.item.count()
      },
      { timeout: 2_000 },
    )
    expect(await rejection(late)).toMatchObject({ code: 'P2028' })
    expect(await names()).toEqual([])
  })

  test('whose session is killed fail, and leave nothing behind', async () => {
    const failed = prisma.$transaction(async (tx) => {
      await tx.item.create({ data: { id: 1, name: 'a' } })
      const [row] = await tx.$queryRaw<{ pid: number }[]>`select pg_backend_pid() as pid`
      await pool.query('select pg_terminate_backend($1)', [row?.pid])
      await tx.item.create({ data: { id: 2, name: 'b' } })
    })
    const error = await rejection(failed)
    expect(classify(error)).toBe('connection')
    expect(await names()).toEqual([])
    await until(() => pool.stats().pool.active === 0)
  })
})

async function activeWith(text: string): Promise<number> {
  const { rows } = await pool.query<{ n: number }>(
    "select count(*)::int as n from pg_stat_activity where query like $1 and state = 'active' and pid <> pg_backend_pid()",
    [`%${text}%`],
  )
  return rows[0]?.n ?? 0
}

describe('inside pool.withTransaction', () => {
  test('everything joins, and is undone together', async () => {
    const failed = pool.withTransaction(async (tx) => {
      await prisma.item.create({ data: { id: 1, name: 'prisma' } })
      await tx.query("insert into item (id, name) values (2, 'sql')")
      await prisma.$executeRaw`insert into item (id, name) values (3, 'raw')`
      expect(await names()).toEqual(['prisma', 'sql', 'raw'])
      expect(await pool.outsideTransaction(names)).toEqual([])
      expect(await pool.outsideTransaction(() => prisma.item.findUnique({ where: { id: 1 } }).then((a) => a))).toBe(
        null,
      )
      throw new Error('no')
    })
    expect((await rejection(failed)).message).toBe('no')
    expect(await names()).toEqual([])
  })

  test('interactive and batch transactions and nested writes are savepoints', async () => {
    await pool.withTransaction(async (tx) => {
      await prisma.$transaction(async (inner) => {
        await inner.item.create({ data: { id: 1, name: 'interactive' } })
        expect((await tx.query('select name from item')).rows).toEqual([{ name: 'interactive' }])
      })
      const failing = prisma.$transaction(async (inner) => {
        await inner.item.create({ data: { id: 9, name: 'undone' } })
        await inner.item.create({ data: { id: 1, name: 'twice' } })
      })
      expect(await rejection(failing)).toMatchObject({ code: 'P2002' })
      await prisma.$transaction([prisma.item.create({ data: { id: 2, name: 'batch' } })])
      const batch = prisma.$transaction([
        prisma.item.create({ data: { id: 8, name: 'undone' } }),
        prisma.item.create({ data: { id: 2, name: 'twice' } }),
      ])
      expect(await rejection(batch)).toMatchObject({ code: 'P2002' })
      const parts = { create: [{ label: 'x' }, { label: 'x' }] }
      expect(await rejection(prisma.item.create({ data: { id: 7, name: 'undone', parts } }))).toMatchObject({
        code: 'P2002',
      })
      await prisma.item.create({ data: { id: 3, name: 'nested', parts: { create: [{ label: 'y' }] } } })
    })
    expect(await names()).toEqual(['interactive', 'batch', 'nested'])
    await until(() => pool.stats().pool.active === 0)
  })

  test('nested writes and arrays side by side take turns, and take nothing along when they fail', async () => {
    await pool.query("insert into item (id, name) values (1, 'a'), (2, 'b')")
    const touch = (id: number) =>
      prisma.item.update({ where: { id }, data: { name: `n${id}` }, include: { parts: true } })
    const create = (id: number, ...labels: string[]) =>
      prisma.item.create({ data: { id, name: `n${id}`, parts: { create: labels.map((label) => ({ label })) } } })
    await pool.withTransaction(async (tx) => {
      await Promise.all([
        touch(1),
        touch(2),
        create(3, 'x', 'y'),
        prisma.$transaction([touch(1), touch(2)]),
        tx.query("insert into item (id, name) values (4, 'n4')"),
      ])
    })
    expect(await names()).toEqual(['n1', 'n2', 'n3', 'n4'])
    for (let turns = 0; turns < 12; turns++) {
      await pool.query('delete from item where id > 3')
      await pool.withTransaction(async (tx) => {
        const failing = create(9, 'z', 'x')
        for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
        const others = [
          prisma.item.create({ data: { id: 5, name: 'n5' } }),
          tx.query("insert into item (id, name) values (6, 'n6')"),
          create(7, `seven ${turns}`),
        ]
        expect(await rejection(failing)).toMatchObject({ code: 'P2002' })
        await Promise.all(others)
      })
      expect(await names()).toEqual(['n1', 'n2', 'n3', 'n5', 'n6', 'n7'])
      await pool.query('delete from part where item_id = 7')
    }
    await until(() => pool.stats().pool.active === 0)
  })

  test("Prisma's timeout around a savepoint cancels the statement, and leaves the transaction usable", async () => {
    await pool.withTransaction(async () => {
      await prisma.item.create({ data: { id: 1, name: 'kept' } })
      const slow = prisma.$transaction((tx) => tx.$queryRaw`select pg_sleep(30)::text`, { timeout: 1_000 })
      expect(cutShort).toContain(((await rejection(slow)) as { code?: string }).code)
      await prisma.item.create({ data: { id: 2, name: 'too' } })
    })
    expect(await names()).toEqual(['kept', 'too'])
  })

  test('a client without the extension refuses to take part', async () => {
    const plain = new PrismaClient({ adapter: lifeguardAdapter(pool) })
    expect(await plain.item.count()).toBe(0)
    const error = await rejection(pool.withTransaction(() => plain.item.count()))
    expect(error).toMatchObject({ code: 'LIFEGUARD_INVALID_OPTION' })
    expect(error.message).toContain('$extends(lifeguard(pool))')
  })
})

describe('withTransaction', () => {
  test("gives Prisma's own transaction client, with its types", async () => {
    const name = await withTransaction(prisma, async (tx, core) => {
      expectTypeOf(core).toEqualTypeOf<CoreTransaction>()
      expectTypeOf(tx).not.toHaveProperty('$disconnect')
      const item = await tx.item.create({ data: { id: 1, name: 'a' } })
      expectTypeOf(item.stock).toEqualTypeOf<number>()
      await prisma.item.create({ data: { id: 2, name: 'b' } })
      await core.query("insert into item (id, name) values (3, 'c')")
      expect(await tx.item.count()).toBe(3)
      expect(await pool.outsideTransaction(() => tx.item.count().then((n) => n))).toBe(3)
      return item.name
    })
    expectTypeOf(name).toEqualTypeOf<string>()
    expect(await names()).toEqual(['a', 'b', 'c'])
  })

  test('is there as a method, and rolls back as one', async () => {
    const failed = prisma.$withTransaction(async (tx) => {
      expectTypeOf(tx.item.count()).resolves.toEqualTypeOf<number>()
      await tx.item.create({ data: { id: 1, name: 'a' } })
      await pool.query("insert into item (id, name) values (2, 'b')")
      throw new Error('no')
    })
    expect((await rejection(failed)).message).toBe('no')
    expect(await names()).toEqual([])
  })

  test('nests, through the client or the transaction client', async () => {
    await withTransaction(prisma, async (tx) => {
      await tx.item.create({ data: { id: 1, name: 'a' } })
      for (const client of [prisma, tx]) {
        const inner = withTransaction(client, async (nested) => {
          await nested.item.create({ data: { id: 2, name: 'b' } })
          throw new Error('inner')
        })
        expect((await rejection(inner)).message).toBe('inner')
      }
      const own = tx.$transaction(async (nested) => {
        await nested.item.create({ data: { id: 2, name: 'b' } })
        throw new Error('own')
      })
      expect((await rejection(own)).message).toBe('own')
      await withTransaction(tx, (nested) => nested.item.create({ data: { id: 3, name: 'c' } }))
    })
    expect(await names()).toEqual(['a', 'c'])
  })

  test('refuses the client of a transaction that it cannot see', async () => {
    const failed = prisma.$transaction((tx) => withTransaction(tx, async () => 1))
    expect(await rejection(failed)).toBeInstanceOf(InvalidArgumentError)
  })

  test('takes the options of the core', async () => {
    const level = await withTransaction(
      prisma,
      (tx) => tx.$queryRaw<{ level: string; tenant: string }[]>`
        select current_setting('transaction_isolation') as level, current_setting('app.tenant') as tenant`,
      { isolation: 'repeatable read', settings: { 'app.tenant': '42' } },
    )
    expect(level).toEqual([{ level: 'repeatable read', tenant: '42' }])
  })

  test('stops at its deadline and at an abort, and cancels on the server', async () => {
    const sleep = (tx: Pick<typeof prisma, '$queryRaw'>) => tx.$queryRaw`select 'past its time', pg_sleep(30)::text`
    expect(await rejection(withTransaction(prisma, sleep, { timeoutMs: 100 }))).toBeInstanceOf(OperationTimeoutError)
    const controller = new AbortController()
    const running = rejection(withTransaction(prisma, sleep, { signal: controller.signal }))
    await until(async () => (await activeWith('past its time')) === 1)
    controller.abort(new Error('enough'))
    expect(await running).toBeInstanceOf(OperationAbortedError)
    await until(async () => (await activeWith('past its time')) === 0 && pool.stats().pool.active === 0)
  })

  test('goes through without a session that was killed under it', async () => {
    let attempts = 0
    await withTransaction(prisma, async (tx) => {
      attempts += 1
      const [row] = await tx.$queryRaw<{ pid: number }[]>`select pg_backend_pid() as pid`
      if (attempts === 1) await pool.outsideTransaction(() => pool.query('select pg_terminate_backend($1)', [row?.pid]))
      await tx.item.create({ data: { id: attempts, name: 'a' } })
    })
    expect(attempts).toBe(2)
    expect(await names()).toEqual(['a'])
  })
})

describe("the pool's own errors", () => {
  test('come out as they are, from every kind of call', async () => {
    const one = make(database.url, { max: 1 })
    await one.pool.withTransaction(async (tx) => {
      await tx.query('select 1')
      await one.pool.outsideTransaction(async () => {
        for (const call of [
          () => one.prisma.item.findMany(),
          () => one.prisma.item.findUnique({ where: { id: 1 } }),
          () => one.prisma.$queryRaw`select 1`,
          () => one.prisma.$transaction([one.prisma.item.count()]),
          () => one.prisma.$transaction((inner) => inner.item.count()),
          () => one.prisma.item.create({ data: { id: 1, name: 'a', parts: { create: [{ label: 'x' }] } } }),
        ]) {
          const error = await rejection(Promise.resolve(call()))
          expect(error.constructor.name).toMatch(/^(AcquireTimeoutError|SelfDeadlockError)$/)
          expect(LifeguardError.isInstance(error)).toBe(true)
        }
      })
    })
    await one.pool.end()
    expect(await rejection(one.prisma.item.count())).toMatchObject({ code: 'LIFEGUARD_POOL_CLOSED' })
    expect(await rejection(one.prisma.$transaction((tx) => tx.item.count()))).toMatchObject({
      code: 'LIFEGUARD_POOL_CLOSED',
    })
  })

  test('of a deadline around the code cancel what runs', async () => {
    const failed = pool.withDeadline(() => prisma.$queryRaw`select 'deadline', pg_sleep(30)::text`.then((a) => a), {
      timeoutMs: 100,
    })
    expect(await rejection(failed)).toBeInstanceOf(OperationTimeoutError)
    await until(async () => (await activeWith('deadline')) === 0)
  })

  test('do not stand in the way of those of the server', async () => {
    await prisma.item.create({ data: { id: 1, name: 'a', parts: { create: [{ label: 'x' }] } } })
    const twice = await rejection(prisma.item.create({ data: { id: 1, name: 'b' } }))
    expect(twice).toMatchObject({ code: 'P2002', meta: { modelName: 'Item' } })
    expect(sqlStateOf(twice)).toBe('23505')
    expect(await rejection(prisma.item.delete({ where: { id: 1 } }))).toMatchObject({ code: 'P2003' })
    expect(await rejection(prisma.$queryRaw`select * from nowhere`)).toMatchObject({ code: 'P2010' })
    expect(await rejection(prisma.$queryRaw`select 1 / 0`)).toSatisfy((error) => sqlStateOf(error) === '22012')
    expect(await rejection(prisma.ticket.findFirstOrThrow())).toMatchObject({ code: 'P2025' })
  })
})

describe('locks and versions', () => {
  test('withLock, tryWithLock and withSemaphore run with the pool behind the client', async () => {
    const value = await withLock(prisma, 'one', async ({ fencingToken }) => {
      expect(await tryWithLock(prisma, 'two', () => names())).toEqual({ acquired: true, value: [] })
      const elsewhere = make(database.url, { max: 2 })
      expect(await tryWithLock(elsewhere.prisma, 'one', async () => 1)).toEqual({ acquired: false })
      await elsewhere.pool.end()
      return fencingToken.xid
    })
    expect(value).toBeGreaterThan(0n)
    expect(await withSemaphore(prisma, 'three', 2, () => names())).toEqual([])
  })

  test('updateVersioned counts up once, and tells who was slower', async () => {
    await prisma.item.create({ data: { id: 1, name: 'a' } })
    const item = await updateVersioned(prisma.item, { id: 1, version: 1 }, { name: 'b', stock: { increment: 2 } })
    expectTypeOf(item.name).toEqualTypeOf<string>()
    expect(item).toEqual({ id: 1, name: 'b', stock: 2, version: 2 })
    const late = await rejection(
      updateVersioned(prisma.item, { id: 1, version: 1 }, { name: 'c' }, { timeoutMs: 5_000 }),
    )
    expect(late).toBeInstanceOf(VersionConflictError)
    expect(late.message).toContain('Item')
    // @ts-expect-error there is no such column
    const wrong = updateVersioned(prisma.item, { id: 1, version: 2 }, { colour: 'red' })
    expect((await rejection(wrong)).name).toBe('PrismaClientValidationError')
    expect(await rejection(updateVersioned(prisma.item, { id: 1 }, { name: 'c' }))).toBeInstanceOf(InvalidArgumentError)
    expect(await rejection(updateVersioned(prisma.item, { version: 1 }, {}))).toBeInstanceOf(InvalidArgumentError)
    // Prisma would take either for no condition at all.
    for (const key of [
      { id: 1, version: undefined },
      { id: undefined, version: 2 },
    ]) {
      const error = await rejection(updateVersioned(prisma.item, key as never, { name: 'c' }))
      expect(error).toBeInstanceOf(InvalidArgumentError)
    }
    // Filters, as they come in the body of a request or out of the client.
    for (const key of [
      '{ "id": { "not": 0 }, "version": 2 }',
      '{ "id": 1, "version": { "gte": 0 } }',
      '{ "id": { "in": [1, 2] }, "version": 2 }',
      '{ "version": 2, "AND": [] }',
      '{ "version": 2, "OR": [{ "id": 1 }, { "id": 2 }] }',
      '{ "version": 2, "NOT": { "id": 0 } }',
      '{ "version": 2, "parts": { "none": {} } }',
      '{ "id": 1, "version": null }',
      '{ "id": [1], "version": 2 }',
      '{ "__proto__": {}, "version": 2 }',
    ]) {
      const error = await rejection(updateVersioned(prisma.item, JSON.parse(key), { name: 'c' }))
      expect(error, key).toBeInstanceOf(InvalidArgumentError)
    }
    const itself = { id: 1, version: prisma.item.fields.version }
    expect(await rejection(updateVersioned(prisma.item, itself as never, { name: 'c' }))).toMatchObject({
      option: 'key',
    })
    await withTransaction(prisma, (tx) => updateVersioned(tx.item, { id: 1, version: 2 }, { name: 'd' }))
    expect(await names()).toEqual(['d'])
  })

  test('withOptimisticRetry lets every one of many get through', async () => {
    await prisma.item.create({ data: { id: 1, name: 'a' } })
    await Promise.all(
      Array.from({ length: 6 }, () =>
        withOptimisticRetry(
          prisma,
          async () => {
            const { id, version, stock } = await prisma.item.findUniqueOrThrow({ where: { id: 1 } })
            await updateVersioned(prisma.item, { id, version }, { stock: stock + 1 })
          },
          { attempts: 100 },
        ),
      ),
    )
    expect(await prisma.item.findUnique({ where: { id: 1 } })).toMatchObject({ stock: 6, version: 7 })
  })
})

describe('the client', () => {
  test('shows its pool, and has no other', async () => {
    expect(poolOf(prisma)).toBe(pool)
    expectTypeOf(prisma.$pool).toEqualTypeOf(pool)
    await withTransaction(prisma, async (tx) => expect(poolOf(tx)).toBe(pool))
    // The sessions of pools that other tests have ended are gone a moment later.
    await until(async () => {
      const { rows } = await pool.query<{ n: number }>(
        'select count(*)::int as n from pg_stat_activity where datname = current_database()',
      )
      return rows[0]?.n === pool.stats().pool.total
    })
  })

  test('keeps the extensions on both sides of this one', async () => {
    const calls: string[] = []
    const spy = (name: string) => ({
      query: {
        $allOperations: ({ args, query }: { args: unknown; query: (args: never) => Promise<unknown> }) => {
          calls.push(name)
          return query(args as never)
        },
      },
    })
    const client = new PrismaClient({ adapter: lifeguardAdapter(pool) })
      .$extends(spy('below'))
      .$extends(lifeguard(pool))
      .$extends(spy('above'))
      .$extends({ model: { item: { double: (n: number) => n * 2 } } })
    await withTransaction(client, async (tx) => {
      await tx.item.create({ data: { id: tx.item.double(2), name: 'a' } })
      expect(await pool.outsideTransaction(names)).toEqual([])
    })
    expect(calls.sort()).toEqual(['above', 'below'])
    expect(await names()).toEqual(['a'])
  })

  test('is refused when it is on another pool or another adapter', async () => {
    const other = createPool({ connectionString: database.url })
    const client = new PrismaClient({ adapter: lifeguardAdapter(other) })
    expect(() => client.$extends(lifeguard(pool))).toThrow(InvalidArgumentError)
    expect(() => lifeguardAdapter('postgres://' as never)).toThrow(InvalidArgumentError)
    expect(() => poolOf(client as never)).toThrow(InvalidArgumentError)
    await other.end()
  })

  test('says what Prisma says of a server without TLS, and of a user who may not log in', async () => {
    const noTls = createPool({ connectionString: `${database.url}?sslmode=require` })
    const plain = new PrismaClient({ adapter: lifeguardAdapter(noTls) }).$extends(lifeguard(noTls))
    expect(await rejection(plain.item.count())).toMatchObject({ code: 'P1011' })
    await noTls.end()
    const refusal = 'no pg_hba.conf entry for host "1.2.3.4", user "u", database "dd", no encryption'
    const raised = prisma.$executeRawUnsafe(
      `do $$ begin raise exception using errcode = '28000', message = '${refusal}'; end $$`,
    )
    const { meta } = (await rejection(raised)) as { meta?: { driverAdapterError?: { cause?: unknown } } }
    expect(meta?.driverAdapterError?.cause).toMatchObject({ kind: 'DatabaseAccessDenied', db: 'dd' })
  })

  test('is refused by a client that works in another way inside', () => {
    const extend = lifeguard(pool)
    const client = (handler: object, engine: object = { transaction: async () => undefined }) => ({
      _engineConfig: { adapter: lifeguardAdapter(pool) },
      _engine: engine,
      _requestHandler: handler,
    })
    const dataloader = { request: async () => undefined, options: { batchLoader: async () => [] } }
    const handleAndLogRequestError = () => undefined
    for (const handler of [
      { handleAndLogRequestError },
      { dataloader },
      { dataloader: {}, handleAndLogRequestError },
    ]) {
      expect(() => extend(client(handler))).toThrow(/^client is of a Prisma that runs its requests in another way/)
    }
    expect(() => extend(client({ dataloader, handleAndLogRequestError }, {}))).toThrow(/in another way/)
  })

  test('leaves the pool alone when it disconnects, unless asked to end it', async () => {
    const one = make(database.url)
    expect(await one.prisma.item.count()).toBe(0)
    await one.prisma.$disconnect()
    expect((await one.pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    expect(await one.prisma.item.count()).toBe(0)
    const owner = new PrismaClient({ adapter: lifeguardAdapter(one.pool, { endPoolOnDispose: true }) })
    await owner.$connect()
    await owner.$disconnect()
    expect(await rejection(one.pool.query('select 1'))).toMatchObject({ code: 'LIFEGUARD_POOL_CLOSED' })
  })

  test('looks for its tables in the schema that it was given', async () => {
    await pool.query('create schema shelf; create table shelf.ticket (seat int primary key, holder text not null)')
    const client = new PrismaClient({ adapter: lifeguardAdapter(pool, { schema: 'shelf' }) })
    await client.ticket.create({ data: { seat: 1, holder: 'Ada' } })
    expect((await pool.query('select holder from shelf.ticket')).rows).toEqual([{ holder: 'Ada' }])
  })

  test('finds all of a schema that a URL of Prisma names, when what the refusal says is done', async () => {
    await pool.query('create schema store; create table store.ticket (seat int primary key, holder text not null)')
    const url = (query: string): string => `${database.url}${database.url.includes('?') ? '&' : '?'}${query}`
    const refused = () => createPool({ connectionString: url('schema=store') })
    expect(refused).toThrow(InvalidArgumentError)
    expect(refused).toThrow(/options=-csearch_path%3Dname, or the option settings: \{ search_path: 'name' \}/)
    expect(refused).toThrow(/lifeguardAdapter\(pool, \{ schema: 'name' \}\)/)
    const ways = [
      { connectionString: url('options=-csearch_path%3Dstore') },
      { connectionString: database.url, settings: { search_path: 'store' } },
    ]
    for (const [index, options] of ways.entries()) {
      await using own = createPool({ ...options, max: 2 })
      const client = new PrismaClient({ adapter: lifeguardAdapter(own, { schema: 'store' }) }).$extends(lifeguard(own))
      await client.ticket.create({ data: { seat: index, holder: 'Ada' } })
      const raw = await client.$withTransaction((tx) => tx.$queryRaw`select holder from ticket where seat = ${index}`)
      expect(raw).toEqual([{ holder: 'Ada' }])
      expect(await client.ticket.findMany({ where: { seat: index } })).toEqual([{ seat: index, holder: 'Ada' }])
      await client.$disconnect()
    }
    expect((await pool.query('select from store.ticket')).rowCount).toBe(2)
    expect((await pool.query('select from public.ticket')).rowCount).toBe(0)
  })
})

describe('the adapter by itself', () => {
  test('runs scripts whole, with semicolons in strings and functions', async () => {
    const adapter = await lifeguardAdapter(pool).connect()
    await adapter.executeScript(`
      create function twice(n int) returns int language plpgsql as $$ begin n := n * 2; return n; end $$;
      insert into item (id, name) values (1, 'a;b');`)
    expect((await pool.query('select twice(id) as id, name from item')).rows).toEqual([{ id: 2, name: 'a;b' }])
    expect(await rejection(adapter.executeScript('select 1; select nonsense'))).toMatchObject({
      name: 'DriverAdapterError',
      cause: { kind: 'ColumnNotFound', originalCode: '42703' },
    })
  })

  test('tells an isolation level that PostgreSQL has not', async () => {
    const adapter = await lifeguardAdapter(pool).connect()
    const error = await rejection(adapter.startTransaction('SNAPSHOT'))
    expect(error).toBeInstanceOf(InvalidArgumentError)
    expect(error.message).toMatch(/^isolation is "snapshot"; allowed: read uncommitted, /)
  })
})
