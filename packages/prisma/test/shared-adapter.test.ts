import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { PrismaClient } from '../generated/prisma/client.js'
import {
  createPool,
  InvalidArgumentError,
  LifeguardAdapter,
  lifeguard,
  lifeguardAdapter,
  type Pool,
  updateVersioned,
  withTransaction,
} from '../src/index.js'
import { rejection, tables } from './schema.js'

const database = useDatabase({ setup: tables })
let pool: Pool

beforeEach(async () => {
  pool ??= createPool({ connectionString: database.url, max: 4, acquireTimeoutMs: 20_000 })
  await pool.query('truncate item, part')
})

afterAll(async () => {
  await pool.end()
})

test.each(['before', 'after'])(
  'one adapter for two clients, one without the extension, which is made %s: it stays out',
  async (when) => {
    const adapter = lifeguardAdapter(pool)
    const early = new PrismaClient({ adapter })
    if (when === 'before') await early.item.findMany()
    const extended = new PrismaClient({ adapter }).$extends(lifeguard(pool))
    await extended.item.create({ data: { id: 1, name: 'committed' } })
    const bare = when === 'before' ? early : new PrismaClient({ adapter })
    const read = () => bare.item.findUnique({ where: { id: 1 } })
    expect(await read()).toMatchObject({ name: 'committed' })
    await pool.withTransaction(async () => {
      await extended.item.update({ where: { id: 1 }, data: { name: 'mine' } })
      expect(await extended.item.findUnique({ where: { id: 1 } })).toMatchObject({ name: 'mine' })
      const refused = [
        read(),
        bare.$queryRaw`select 1`,
        bare.$executeRaw`select 1`,
        bare.item.create({ data: { id: 2, name: 'x', parts: { create: { label: 'y' } } } }),
        bare.$transaction([bare.item.count(), bare.item.count()]),
        bare.$transaction(async (tx) => await tx.item.count()),
      ]
      for (const one of refused) expect(await rejection(one)).toMatchObject({ code: 'LIFEGUARD_INVALID_OPTION' })
      expect(await extended.item.count()).toBe(1)
    })
    // Of one tick, with one from outside first: the engine sends both for the one that came first, outside.
    const gate = Promise.withResolvers<void>()
    const outside = gate.promise.then(() => Promise.all([read(), read()]))
    await withTransaction(extended, async (tx) => {
      await tx.item.update({ where: { id: 1 }, data: { name: 'dirty' } })
      gate.resolve()
      const inside = gate.promise.then(() => read()).catch((error: unknown) => error)
      expect((await outside).map((row) => row?.name)).toEqual(['mine', 'mine'])
      const found = await inside
      expect(found instanceof InvalidArgumentError || (found as { name: string }).name === 'mine').toBe(true)
    })
    expect(pool.stats().pool.active).toBe(0)
  },
)

test('an option that the adapter does not have is refused', () => {
  expect(() => lifeguardAdapter(pool, { shema: 'x' } as object)).toThrow(/shema.*schema/)
})

test.each<[option: string, options: unknown]>([
  ['schema', { schema: '' }],
  ['schema', { schema: 1 }],
  ['schema', { schema: 'x'.repeat(64) }],
  ['schema', { schema: 'a\0b' }],
  ['endPoolOnDispose', { endPoolOnDispose: 'no' }],
  ['proveCommit', { proveCommit: 'yes' }],
  ['proveCommit.marker', { proveCommit: { marker: 'proof' } }],
  ['the options', null],
  ['the options', 'shop'],
])('an option of the adapter that is not what it may be is refused: %s', (option, options) => {
  const made = () => lifeguardAdapter(pool, options as object)
  expect(made).toThrow(InvalidArgumentError)
  expect(made).toThrow(new RegExp(`^${option.replace('.', '\\.')} is `))
})

test('what is no pool of this house is refused at once', () => {
  for (const strange of [undefined, null, {}, 'postgres://localhost/shop']) {
    expect(() => lifeguard(strange as never)).toThrow(/^pool is /)
    expect(() => lifeguardAdapter(strange as never)).toThrow(/^pool is /)
  }
})

test('the isolation level of the client holds for withTransaction, unless the call says another', async () => {
  const client = (isolationLevel: 'Serializable' | 'RepeatableRead' | 'ReadCommitted') =>
    new PrismaClient({ adapter: lifeguardAdapter(pool), transactionOptions: { isolationLevel } }).$extends(
      lifeguard(pool),
    )
  const prisma = client('Serializable')
  const level = async (on: Pick<typeof prisma, '$queryRaw'> = prisma) =>
    (await on.$queryRaw<{ level: string }[]>`select current_setting('transaction_isolation') as level`)[0]?.level
  expect(await withTransaction(prisma, (tx) => level(tx))).toBe('serializable')
  expect(await prisma.$withTransaction((tx) => level(tx), { timeoutMs: 20_000 })).toBe('serializable')
  expect(await withTransaction(client('RepeatableRead'), (tx) => level(tx))).toBe('repeatable read')
  const lower = { isolation: 'read committed' } as const
  expect(await withTransaction(prisma, (tx) => level(tx), lower)).toBe('read committed')
  // A savepoint is as what is around it, when that was chosen, or is enough.
  const nested = () => withTransaction(prisma, (tx) => level(tx))
  expect(await withTransaction(prisma, nested, lower)).toBe('read committed')
  expect(await withTransaction(prisma, nested)).toBe('serializable')
  expect(await pool.withTransaction(nested, { isolation: 'serializable' })).toBe('serializable')
  expect(await pool.withTransaction(() => withTransaction(client('ReadCommitted'), (tx) => level(tx)))).toBe(
    'read committed',
  )
  // What somebody else began may not be enough.
  expect(await rejection(pool.withTransaction(nested))).toMatchObject({ option: 'isolation' })
  expect(pool.stats().pool.active).toBe(0)
})

test('options that are none, or that nobody knows, are refused; those that a class gives are kept', async () => {
  const prisma = new PrismaClient({ adapter: lifeguardAdapter(pool) }).$extends(lifeguard(pool))
  await prisma.item.create({ data: { id: 1, name: 'a' } })
  for (const wrong of [{ nonsense: 1 }, null, [], new Map(), Object.create({ a: 1 }), { [Symbol('a')]: 1 }]) {
    expect(() => lifeguardAdapter(pool, wrong as never)).toThrow(InvalidArgumentError)
    expect(() => new LifeguardAdapter(pool, wrong as never)).toThrow(InvalidArgumentError)
    for (const call of [
      () => withTransaction(prisma, async () => undefined, wrong as never),
      () => prisma.$withTransaction(async () => undefined, wrong as never),
      () => updateVersioned(prisma.item, { id: 1, version: 1 }, { name: 'b' }, wrong as never),
    ]) {
      expect(await rejection(call())).toBeInstanceOf(InvalidArgumentError)
    }
  }
  class ForTenant {
    get settings() {
      return { 'app.tenant': 'a' }
    }
  }
  const tenant = await withTransaction(
    prisma,
    (tx) => tx.$queryRaw`select current_setting('app.tenant') as tenant`,
    new ForTenant(),
  )
  expect(tenant).toEqual([{ tenant: 'a' }])
})
