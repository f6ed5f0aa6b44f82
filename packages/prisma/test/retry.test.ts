import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { classify, sqlStateOf, withOptimisticRetry, withTransaction } from '../src/index.js'
import { type Made, make, rejection, tables } from './schema.js'

const database = useDatabase({ setup: tables })

let made: Made | undefined
let { prisma, pool } = {} as Made
type Tx = Pick<typeof prisma, 'item' | '$queryRaw' | '$executeRaw'>

beforeEach(async () => {
  made ??= make(database.url)
  ;({ prisma, pool } = made)
  await pool.query('truncate item, part')
  await pool.query("insert into item (id, name) values (1, 'a'), (2, 'b')")
})

afterAll(async () => {
  await made?.pool.end()
})

/** Makes the transaction's snapshot old: reads, then lets somebody else write. */
async function overtaken(tx: Tx): Promise<void> {
  await tx.item.findFirst({ where: { id: 1 } })
  await pool.outsideTransaction(() => pool.query('update item set stock = stock + 1 where id = 1'))
}

const modelWrite = async (tx: Tx): Promise<unknown> =>
  await tx.item.update({ where: { id: 1 }, data: { stock: { increment: 10 } } })
const rawWrite = async (tx: Tx): Promise<unknown> =>
  await tx.$executeRaw`update item set stock = stock + 10 where id = 1`

/** Two transactions that each read what the other writes: one of them cannot be serialized, and hears it at COMMIT. */
async function skewed(tx: Tx): Promise<void> {
  await tx.$queryRaw`select sum(stock) from item`
  await tx.item.update({ where: { id: 1 }, data: { stock: { increment: 10 } } })
  await pool.outsideTransaction(() =>
    pool.withTransaction(
      async (other) => {
        await other.query('select sum(stock) from item')
        await other.query('update item set stock = stock + 1 where id = 2')
      },
      { isolation: 'serializable' },
    ),
  )
}

describe('a conflict is seen in each of its disguises', () => {
  test('a model query: P2034', async () => {
    const failed = prisma.$transaction(
      async (tx) => {
        await overtaken(tx)
        await modelWrite(tx)
      },
      { isolationLevel: 'RepeatableRead' },
    )
    const error = await rejection(failed)
    expect(error).toMatchObject({ code: 'P2034' })
    expect([sqlStateOf(error), classify(error)]).toEqual(['40001', 'conflict'])
  })

  test('a raw query: P2010', async () => {
    const failed = prisma.$transaction(
      async (tx) => {
        await overtaken(tx)
        await rawWrite(tx)
      },
      { isolationLevel: 'RepeatableRead' },
    )
    const error = await rejection(failed)
    expect(error).toMatchObject({ code: 'P2010' })
    expect([sqlStateOf(error), classify(error)]).toEqual(['40001', 'conflict'])
  })

  test('COMMIT: an error of the adapter without a code', async () => {
    const error = await rejection(prisma.$transaction(skewed, { isolationLevel: 'Serializable' }))
    expect(error).toMatchObject({ name: 'DriverAdapterError', cause: { kind: 'TransactionWriteConflict' } })
    expect([sqlStateOf(error), classify(error)]).toEqual(['40001', 'conflict'])
  })

  test('a deadlock: P2034 too', async () => {
    const lock = (first: number, second: number, met: () => Promise<void>) =>
      prisma.$transaction(async (tx) => {
        await tx.item.update({ where: { id: first }, data: { stock: 1 } })
        await met()
        await tx.item.update({ where: { id: second }, data: { stock: 1 } })
      })
    const both = Promise.withResolvers<void>()
    let arrived = 0
    const met = () => {
      arrived += 1
      if (arrived === 2) both.resolve()
      return both.promise
    }
    const outcomes = await Promise.allSettled([lock(1, 2, met), lock(2, 1, met)])
    const [lost] = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
    expect(lost).toMatchObject({ code: 'P2034' })
    expect([sqlStateOf(lost), classify(lost)]).toEqual(['40P01', 'deadlock'])
  })
})

describe('withTransaction runs again', () => {
  test.each([
    ['after a model query', modelWrite, 'repeatable read'],
    ['after a raw query', rawWrite, 'repeatable read'],
    ['after COMMIT', async () => undefined, 'serializable'],
  ] as const)('%s', async (_, write, isolation) => {
    const seen: unknown[] = []
    const stock = await withTransaction(
      prisma,
      async (tx, core) => {
        seen.push(...core.retries.slice(seen.length).map(({ reason }) => reason))
        if (core.attempt === 1) await (isolation === 'serializable' ? skewed(tx) : overtaken(tx))
        await write(tx)
        return (await tx.item.findUniqueOrThrow({ where: { id: 1 } })).stock
      },
      { isolation },
    )
    expect(seen).toEqual(['conflict'])
    expect(stock).toBe(isolation === 'serializable' ? 0 : 11)
  })

  test('when the conflict is inside of a nested transaction, which cannot cure it', async () => {
    let attempts = 0
    await withTransaction(
      prisma,
      async (tx) => {
        attempts += 1
        if (attempts === 1) await overtaken(tx)
        await tx.$transaction((nested) => nested.item.update({ where: { id: 1 }, data: { stock: 5 } }))
      },
      { isolation: 'repeatable read' },
    )
    expect(attempts).toBe(2)
  })

  test('when prisma joins pool.withTransaction', async () => {
    let attempts = 0
    await pool.withTransaction(
      async () => {
        attempts += 1
        if (attempts === 1) await overtaken(prisma)
        await modelWrite(prisma)
      },
      { isolation: 'repeatable read' },
    )
    expect(attempts).toBe(2)
    expect(await prisma.item.findUnique({ where: { id: 1 } })).toMatchObject({ stock: 11 })
  })

  test('but not for errors of the user', async () => {
    let attempts = 0
    const failed = withTransaction(prisma, async (tx) => {
      attempts += 1
      await tx.item.create({ data: { id: 1, name: 'twice' } })
    })
    expect(await rejection(failed)).toMatchObject({ code: 'P2002' })
    expect(attempts).toBe(1)
  })
})

test('withOptimisticRetry runs again after a conflict of a whole transaction of Prisma', async () => {
  let attempts = 0
  await withOptimisticRetry(prisma, async () => {
    attempts += 1
    await prisma.$transaction(
      async (tx) => {
        if (attempts === 1) await overtaken(tx)
        await modelWrite(tx)
      },
      { isolationLevel: 'RepeatableRead' },
    )
  })
  expect(attempts).toBe(2)
})

test('many transfers at once keep the sum', async () => {
  const transfer = (from: number, to: number) =>
    withTransaction(
      prisma,
      async (tx) => {
        const { stock } = await tx.item.findUniqueOrThrow({ where: { id: from } })
        await tx.item.update({ where: { id: from }, data: { stock: stock - 1 } })
        await tx.item.update({ where: { id: to }, data: { stock: { increment: 1 } } })
      },
      { isolation: 'serializable', retry: { attempts: 100 } },
    )
  await Promise.all(Array.from({ length: 8 }, (_, n) => (n % 2 === 0 ? transfer(1, 2) : transfer(2, 1))))
  expect(await prisma.item.findMany({ orderBy: { id: 'asc' }, select: { stock: true } })).toEqual([
    { stock: 0 },
    { stock: 0 },
  ])
  expect(pool.stats()).toMatchObject({ pool: { active: 0 }, waits: { waiting: 0 } })
})
