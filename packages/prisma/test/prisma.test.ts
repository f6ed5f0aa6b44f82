import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { afterAll, beforeEach, describe, expect, expectTypeOf, test } from 'vitest'
import { PrismaClient } from '../generated/prisma/client.js'
import {
  type Transaction as CoreTransaction,
  classify,
  createPool,
  InvalidOptionError,
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

async function names(): Promise<string[]> {
  return (await prisma.item.findMany({ orderBy: { id: 'asc' } })).map(({ name }) => name)
}

describe('queries', () => {
  test('run, count what they changed, and give every connection back', async () => {
    await prisma.item.create({ data: { id: 1, name: 'a' } })
    expect(await prisma.item.createMany({ data: [{ id: 2, name: 'b' }, { id: 3, name: 'c' }] })).toEqual({ count: 2 })
    expect(await prisma.item.updateMany({ data: { stock: 1 } })).toEqual({ count: 3 })
    expect(await names()).toEqual(['a', 'b', 'c'])
    expect(await prisma.item.delete({ where: { id: 3 } })).toMatchObject({ name: 'c', stock: 1 })
    expect(await prisma.item.aggregate({ _sum: { stock: true } })).toEqual({ _sum: { stock: 2 } })
    expect(pool.stats()).toMatchObject({ active: 0, waiting: 0 })
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
    const failed = prisma.item.create({ data: { id: 2, name: 'b', parts: { create: [{ label: 'z' }, { label: 'x' }] } } })
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
})
