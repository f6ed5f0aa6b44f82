import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type LifeguardError, OperationAbortedError } from '../src/index.js'
import { type Made, make, rejection, tables } from './schema.js'

const database = useDatabase({ setup: tables })

let made: Made
beforeAll(() => {
  made = make(database.url, { max: 1, maxWaiting: 0, name: 'shop' })
})
afterAll(() => made.pool.end())

describe("the pool's own errors through Prisma", () => {
  const calls: Readonly<Record<string, (prisma: Made['prisma']) => Promise<unknown>>> = {
    'prisma.item.findMany()': async function findsMany(prisma) {
      return await prisma.item.findMany()
    },
    'prisma.item.findUnique()': async function findsOne(prisma) {
      return await prisma.item.findUnique({ where: { id: 1 } })
    },
    'prisma.item.create()': async function creates(prisma) {
      return await prisma.item.create({ data: { id: 1, name: 'a' } })
    },
    'prisma.$queryRaw()': async function asks(prisma) {
      return await prisma.$queryRaw`select 1`
    },
    'prisma.item.count()': async function counts(prisma) {
      return await prisma.$transaction(async (tx) => await tx.item.count())
    },
  }
  // Prisma does not know who asks a raw query.
  test.each(Object.entries(calls))('say that it was %s, and who called it', async (operation, call) => {
    const { pool, prisma } = made
    await using _ = await pool.acquire()
    const error = (await rejection(call(prisma))) as LifeguardError
    expect(error).toMatchObject({ code: 'LIFEGUARD_QUEUE_FULL', pool: 'shop', operation })
    expect(error.stack?.startsWith(`${error.name}: ${error.message}\n`)).toBe(true)
    if (operation === 'prisma.$queryRaw()') return
    expect(error.stack).toContain('own-errors.test.ts')
    expect(error.stack).toContain(call.name)
    expect(error.stack).not.toContain('node_modules/@prisma')
  })
})

test("Prisma's own timeout is not told as an abort by the caller", async () => {
  const { prisma } = made
  let own: unknown
  const failed = await rejection(
    prisma.$transaction(
      async (tx) => {
        await tx.item.count()
        own = await rejection(tx.$queryRaw`select pg_sleep(30)::text`)
        throw own
      },
      { timeout: 2_000 },
    ),
  )
  expect(own).toBe(failed)
  expect(own).toBeInstanceOf(OperationAbortedError)
  expect(own).toMatchObject({
    code: 'LIFEGUARD_ABORTED',
    message: expect.stringMatching(/^Prisma ended the transaction: its timeout, or a failure beside this statement; /),
    pool: 'shop',
    operation: 'prisma.$queryRaw()',
  })
})
