import { useDatabase } from '@pg-lifeguard/testing/vitest'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PrismaClient } from '../generated/prisma/client.js'
import { lifeguard, lifeguardAdapter, OperationTimeoutError, withTransaction } from '../src/index.js'
import { type Made, make, rejection, tables } from './schema.js'

const database = useDatabase({
  setup: `${tables} insert into item (id, name) select n, 'committed' from generate_series(1, 20) n`,
})

let { prisma, pool } = {} as Made

beforeAll(() => {
  ;({ prisma, pool } = make(database.url, { max: 8 }))
})

afterAll(async () => {
  await pool.end()
})

const find = async (id: number, client: Pick<typeof prisma, 'item'> = prisma) =>
  (await client.item.findUnique({ where: { id } }))?.name

/** Callers that all wait, and go on in the same tick. */
function gate(count: number): () => Promise<void> {
  const open = Promise.withResolvers<void>()
  let arrived = 0
  return () => {
    arrived += 1
    if (arrived === count) open.resolve()
    return open.promise
  }
}

test('findUnique calls of one tick and one context are one query', async () => {
  const seen: string[] = []
  const client = new PrismaClient({ adapter: lifeguardAdapter(pool), log: [{ emit: 'event', level: 'query' }] })
  client.$on('query', ({ query }) => seen.push(query))
  const extended = client.$extends(lifeguard(pool))
  const five = () => Promise.all([1, 2, 3, 4, 5].map((id) => find(id, extended)))
  await five()
  expect(seen).toHaveLength(1)
  await pool.withTransaction(five)
  expect(seen).toHaveLength(2)
  await withTransaction(extended, (tx) => Promise.all([1, 2, 3].map((id) => find(id, tx))))
  expect(seen).toHaveLength(4) // and the COMMIT that the client reports
})

test('findUnique calls of one tick in two transactions and outside stay where they belong', async () => {
  const together = gate(4)
  const done = gate(4)
  const inTransaction = (name: string) =>
    pool.withTransaction(async (tx) => {
      const ids = name === 'first' ? [1, 2] : [3, 4]
      await tx.query('update item set name = $1 where id = any($2)', [name, ids])
      await together()
      const names = await Promise.all([1, 2, 3, 4].map((id) => find(id)))
      await done()
      return names
    })
  const outside = async () => {
    await together()
    const names = await Promise.all([1, 2, 3, 4].map((id) => find(id)))
    await done()
    return names
  }
  const rolledBack = pool.withTransaction(async (tx) => {
    await tx.query("update item set name = 'never' where id = 5")
    await together()
    const name = await find(5)
    await done()
    expect(name).toBe('never')
    throw new Error('undone')
  })
  const [first, second, none, undone] = await Promise.all([
    inTransaction('first'),
    inTransaction('second'),
    outside(),
    rejection(rolledBack),
  ])
  expect(first).toEqual(['first', 'first', 'committed', 'committed'])
  expect(second).toEqual(['committed', 'committed', 'second', 'second'])
  expect(none).toEqual(['committed', 'committed', 'committed', 'committed'])
  expect(undone.message).toBe('undone')
  await pool.query("update item set name = 'committed'")
})

test('calls of one tick keep their own deadlines', async () => {
  let patient: Promise<unknown> | undefined
  await pool.withTransaction(async (tx) => {
    await tx.query('lock table part in access exclusive mode')
    await pool.outsideTransaction(async () => {
      const asked = Promise.withResolvers<void>()
      patient = asked.promise.then(async () => await prisma.part.findUnique({ where: { id: 2 } }))
      const late = pool.withDeadline(
        async () => {
          const answer = prisma.part.findUnique({ where: { id: 1 } }).then((row) => row)
          asked.resolve()
          return await answer
        },
        { timeoutMs: 200 },
      )
      expect(await rejection(late)).toBeInstanceOf(OperationTimeoutError)
      // As long as the lock is held the other one can only wait, or have been cancelled with what was late.
      const waiting = new Promise((resolve) => setTimeout(resolve, 200, 'waiting'))
      expect(await Promise.race([patient, waiting])).toBe('waiting')
    })
  })
  expect(await patient).toBe(null)
})

test('batch transactions of one tick in several contexts stay in theirs', async () => {
  const together = gate(2)
  const batch = () =>
    prisma.$transaction([
      prisma.item.updateMany({ where: { id: 7 }, data: { stock: { increment: 1 } } }),
      prisma.item.findUnique({ where: { id: 7 } }),
    ])
  const undone = rejection(
    pool.withTransaction(async () => {
      await together()
      const [, item] = await batch()
      throw new Error(`stock ${item?.stock}`)
    }),
  )
  const kept = (async () => {
    await together()
    return await batch()
  })()
  expect((await undone).message).toMatch(/^stock [12]$/)
  await kept
  expect(await prisma.item.findUnique({ where: { id: 7 } })).toMatchObject({ stock: 1 })
})

test('what the engine begins takes turns: what was answered beside it is not undone with it', async () => {
  await pool.query('delete from item where id > 100')
  const create = (id: number) => prisma.item.create({ data: { id, name: 'kept' } })
  const failing = [
    () => prisma.$transaction([create(101), prisma.item.create({ data: { id: 1, name: 'taken' } })]),
    () => prisma.$transaction([prisma.$executeRaw`select 1`, prisma.$executeRaw`select 1 / 0`]),
    // Calls of one tick, which the engine merges, and one of them finds nothing.
    () =>
      Promise.all([
        prisma.item.findUniqueOrThrow({ where: { id: 1 }, select: { name: true } }),
        prisma.item.findUniqueOrThrow({ where: { id: 999 } }),
        prisma.item.findUniqueOrThrow({ where: { id: 998 }, include: { parts: true } }),
      ]),
    () => prisma.item.create({ data: { id: 102, name: 'x', parts: { create: [{ label: 'a' }, { label: 'a' }] } } }),
  ]
  for (const [index, fail] of failing.entries()) {
    const id = 110 + 10 * index
    await pool.withTransaction(async (tx) => {
      const outcomes = await Promise.allSettled([
        create(id),
        fail(),
        create(id + 1),
        tx.query("insert into item (id, name) values ($1, 'kept')", [id + 2]),
        prisma.$transaction([create(id + 3), create(id + 4)]),
        prisma.item.createMany({ data: [{ id: id + 5, name: 'kept' }] }),
        prisma.item.upsert({ where: { id: id + 6 }, create: { id: id + 6, name: 'kept' }, update: {} }),
        fail(),
        create(id + 7),
      ])
      expect(outcomes.map(({ status }) => status)).toEqual([
        'fulfilled',
        'rejected',
        ...Array<string>(5).fill('fulfilled'),
        'rejected',
        'fulfilled',
      ])
    })
    const { rows } = await pool.query<{ id: number }>('select id from item where id >= $1 order by id', [id])
    expect(rows.map((row) => row.id)).toEqual([0, 1, 2, 3, 4, 5, 6, 7].map((n) => id + n))
  }
  await pool.query('delete from item where id > 100')
  expect(pool.stats().pool.active).toBe(0)
})

test('a failure beside a call of the same tick is not an empty answer', async () => {
  const outcomes = await withTransaction(prisma, async (tx) => {
    const calls = await Promise.allSettled([
      tx.$queryRaw`select 1 / 0`,
      tx.item.count(),
      tx.item.findFirst({ where: { id: 1 } }),
    ])
    throw Object.assign(new Error('seen'), { calls })
  }).catch((error: { calls: PromiseSettledResult<unknown>[] }) => error.calls)
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
})

test('whatever is asked for in one tick, wherever: every answer is of its own context', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          place: fc.constantFrom('outside', 'first', 'second'),
          id: fc.integer({ min: 1, max: 3 }),
          how: fc.constantFrom('findUnique', 'findUniqueOrThrow', 'findFirst', 'select', 'raw'),
        }),
        { minLength: 2, maxLength: 12 },
      ),
      async (calls) => {
        const together = gate(3)
        const ask = async ({ id, how }: (typeof calls)[number]): Promise<string | undefined> => {
          const where = { id }
          if (how === 'findUnique') return (await prisma.item.findUnique({ where }))?.name
          if (how === 'findUniqueOrThrow') return (await prisma.item.findUniqueOrThrow({ where })).name
          if (how === 'findFirst') return (await prisma.item.findFirst({ where }))?.name
          if (how === 'select') return (await prisma.item.findUnique({ where, select: { name: true } }))?.name
          return (await prisma.$queryRaw<{ name: string }[]>`select name from item where id = ${id}`)[0]?.name
        }
        const of = (place: string) => calls.filter((call) => call.place === place)
        const inside = (place: string, id: number) =>
          rejection(
            pool.withTransaction(async (tx) => {
              await tx.query('update item set name = $1 where id = $2', [place, id])
              await together()
              const names = await Promise.all(of(place).map(ask))
              expect(names).toEqual(of(place).map((call) => (call.id === id ? place : 'committed')))
              throw new Error('undone')
            }),
          )
        const outside = async () => {
          await together()
          return await Promise.all(of('outside').map(ask))
        }
        const [first, second, names] = await Promise.all([inside('first', 1), inside('second', 2), outside()])
        expect([first.message, second.message]).toEqual(['undone', 'undone'])
        expect(names).toEqual(of('outside').map(() => 'committed'))
      },
    ),
    { numRuns: 60 },
  )
  expect(pool.stats().pool.active).toBe(0)
})
