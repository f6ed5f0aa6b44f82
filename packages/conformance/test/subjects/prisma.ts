import {
  lifeguard,
  lifeguardAdapter,
  type Pool,
  tryWithLock,
  updateVersioned,
  withLock,
  withOptimisticRetry,
  withSemaphore,
  withTransaction,
} from '@pg-lifeguard/prisma'
import { Prisma, PrismaClient } from '../../generated/prisma/client.js'
import type { Handle, Json, Sample, Statements, Subject } from '../../src/index.js'

const levels = {
  'read uncommitted': 'ReadUncommitted',
  'read committed': 'ReadCommitted',
  'repeatable read': 'RepeatableRead',
  serializable: 'Serializable',
} as const

function extended(pool: Pool) {
  return new PrismaClient({ adapter: lifeguardAdapter(pool) }).$extends(lifeguard(pool))
}

type Client = ReturnType<typeof extended>

function statements(prisma: Pick<Client, 'item' | '$queryRawUnsafe'>): Statements {
  return {
    insert: async (data) => (await prisma.item.createMany({ data })).count,
    find: async (id) => (await prisma.item.findUnique({ where: { id } })) ?? undefined,
    update: async (id, data) => (await prisma.item.updateMany({ where: { id }, data })).count,
    delete: async (id) => (await prisma.item.deleteMany({ where: { id } })).count,
    query: async <Row>(text: string, values: readonly unknown[] = []) =>
      await prisma.$queryRawUnsafe<Row[]>(text, ...values),
  }
}

function json(value: Json): Prisma.InputJsonValue | typeof Prisma.DbNull {
  return value === null ? Prisma.DbNull : (value as Prisma.InputJsonValue)
}

const noSignal = 'Prisma takes no signal for a query: withDeadline and fanOut around it do'

export const prisma: Subject = {
  name: 'Prisma',
  absent: {
    'abort: the signal of one query ends it on the server': noSignal,
    'optimistic: the key is compared by the operators of the server, whoever else has some':
      "Prisma's engine writes all conditions, with operators that name no schema: keep pg_catalog first in the search_path",
    'options: a batch refuses what is no option of its own, and does nothing':
      "Prisma's own $transaction([...]) is the batch: its options are Prisma's to check",
    'types: an array that is null comes back as null': 'lists of Prisma cannot be null: it reads NULL as an empty list',
    'types: a double keeps every digit':
      "Prisma's engine writes a double with 16 digits, whatever the driver adapter does: 0.1 + 0.2 is stored as 0.3",
  },
  open: (pool): Handle => {
    const prisma = extended(pool)
    return {
      ...statements(prisma),
      writeSample: (sample: Sample) =>
        prisma.sample.create({
          data: {
            ...sample,
            document: json(sample.document),
            details: json(sample.details),
            bytes: sample.bytes === null ? null : Uint8Array.from(sample.bytes),
            day: sample.day === null ? null : new Date(`${sample.day}T00:00:00Z`),
            words: sample.words?.slice() ?? [],
            numbers: sample.numbers?.slice() ?? [],
          },
        }),
      readSample: async (id) => {
        const row = await prisma.sample.findUnique({ where: { id } })
        if (row === null) return undefined
        return {
          ...row,
          exact: row.exact?.toFixed() ?? null,
          document: row.document as Json,
          details: row.details as Json,
          day: row.day?.toISOString().slice(0, 10) ?? null,
        }
      },
      ownTransactions: {
        '$transaction(fn)': (texts) =>
          prisma.$transaction(
            async (tx) => {
              for (const text of texts) await tx.$queryRawUnsafe(text)
            },
            { timeout: 60_000 },
          ),
        '$transaction([])': (texts) => prisma.$transaction(texts.map((text) => prisma.$queryRawUnsafe(text))),
      },
      withTransaction: (fn, options) =>
        withTransaction(prisma, (tx, transaction) => fn(statements(tx), transaction), options),
      ownTransaction: (fn, isolation) =>
        prisma.$transaction(
          (tx) => fn(statements(tx)),
          isolation === undefined ? { timeout: 60_000 } : { timeout: 60_000, isolationLevel: levels[isolation] },
        ),
      withLock: (key, fn, options) => withLock(prisma, key, fn, options),
      tryWithLock: (key, fn, options) => tryWithLock(prisma, key, fn, options),
      withSemaphore: (name, permits, fn, options) => withSemaphore(prisma, name, permits, fn, options),
      withOptimisticRetry: (fn, options) => withOptimisticRetry(prisma, fn, options),
      updateVersioned: (key, changes, options) => updateVersioned(prisma.item, key, changes, options),
      // Prisma's own batch: all or nothing too, though not in one round trip.
      batch: async (items, id) => {
        const results = await prisma.$transaction([
          ...items.map((data) => prisma.item.create({ data })),
          prisma.item.findUniqueOrThrow({ where: { id } }),
        ])
        return results.at(-1)
      },
      close: () => prisma.$disconnect(),
    }
  },
}
