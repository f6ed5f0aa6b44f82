import { type FaultProxy, startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { describe, expect, test } from 'vitest'
import { PrismaClient } from '../generated/prisma/client.js'
import {
  CommitUnknownError,
  classify,
  createPool,
  type LifeguardAdapterOptions,
  lifeguard,
  lifeguardAdapter,
  withTransaction,
} from '../src/index.js'
import { type extended, rejection, tables, until } from './schema.js'

const database = useDatabase({ setup: tables })

type Client = ReturnType<typeof extended>

const parts = { create: [{ label: 'x' }] }
const ways: Readonly<Record<string, (prisma: Client) => Promise<unknown>>> = {
  'withTransaction()': (prisma) =>
    withTransaction(prisma, (tx) => tx.item.create({ data: { id: 1, name: 'a' } }), { retry: false }),
  'an interactive $transaction': (prisma) =>
    prisma.$transaction((tx) => tx.item.create({ data: { id: 1, name: 'a' } })),
  'a batch $transaction': (prisma) =>
    prisma.$transaction([
      prisma.item.create({ data: { id: 1, name: 'a' } }),
      prisma.item.updateMany({ data: { stock: 1 } }),
    ]),
  'a nested write': (prisma) => prisma.item.create({ data: { id: 1, name: 'a', parts } }).then((item) => item),
}

/** Runs `fn` on a client whose connection is lost around COMMIT: before the server has it, or before its answer. */
async function cut<T>(
  when: 'before' | 'after',
  fn: (prisma: Client, proxy: FaultProxy) => Promise<T>,
  options?: LifeguardAdapterOptions,
): Promise<{ readonly value: T; readonly count: number }> {
  await using proxy = await startFaultProxy({ target: database.url })
  await using pool = createPool({ connectionString: proxy.url, max: 2, acquireTimeoutMs: 20_000 })
  await using direct = createPool({ connectionString: database.url, max: 1 })
  await direct.query('truncate item, part')
  const prisma = new PrismaClient({ adapter: lifeguardAdapter(pool, options) }).$extends(lifeguard(pool))
  await prisma.item.count()
  await proxy.rule({ statement: 'COMMIT', when, action: 'cut' })
  const value = await fn(prisma, proxy)
  const count = async () => (await direct.query<{ n: number }>('select count(*)::int as n from item')).rows[0]?.n ?? -1
  // The server has COMMIT, and goes about it with nobody on the line.
  if (when === 'after') await until(async () => (await count()) === 1)
  return { value, count: await count() }
}

describe.each(Object.entries(ways))('%s whose COMMIT is cut', (_, run) => {
  test('says that it does not know, whatever happened', async () => {
    for (const when of ['before', 'after'] as const) {
      const { value, count } = await cut(when, (prisma) => rejection(run(prisma)))
      expect(value).toBeInstanceOf(CommitUnknownError)
      expect(classify(value)).toBe('outcome-unknown')
      expect(count).toBe(when === 'before' ? 0 : 1)
    }
  })
})

describe.each(Object.entries(ways).slice(1))('%s with proveCommit', (_, run) => {
  test('knows that it was committed', async () => {
    const { value, count } = await cut('after', (prisma) => run(prisma), { proveCommit: true })
    expect(value).toBeTypeOf('object')
    expect(count).toBe(1)
  })

  test('knows that it was not', async () => {
    const { value, count } = await cut('before', (prisma) => rejection(run(prisma)), { proveCommit: true })
    expect(value).not.toBeInstanceOf(CommitUnknownError)
    expect(classify(value)).toBe('connection')
    expect(count).toBe(0)
  })
})

test('withTransaction() with proveCommit gives its value, or runs again', async () => {
  for (const when of ['before', 'after'] as const) {
    let attempts = 0
    const { value, count } = await cut(when, (prisma) =>
      withTransaction(
        prisma,
        async (tx) => {
          attempts += 1
          return (await tx.item.create({ data: { id: 1, name: 'a' } })).name
        },
        { proveCommit: true },
      ),
    )
    expect([value, count, attempts]).toEqual(['a', 1, when === 'before' ? 2 : 1])
  }
})
