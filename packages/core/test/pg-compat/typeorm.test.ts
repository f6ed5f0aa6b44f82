import { useDatabase } from '@pg-lifeguard/testing/vitest'
import pg from 'pg'
import { DataSource, EntitySchema, type Logger } from 'typeorm'
import { expect, test } from 'vitest'
import type { Pool } from '../../src/index.js'
import { killSessions } from '../support/kill-sessions.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase()

interface Account {
  id: number
  amount: number
}

const Account = new EntitySchema<Account>({
  name: 'account',
  columns: { id: { type: 'int', primary: true }, amount: { type: 'int' } },
})

async function dataSource(pool: Pool, log: string[] = []): Promise<DataSource> {
  const pgPool = pool.asPgPool()
  const quiet = (): void => undefined
  const logger: Logger = {
    logQuery: quiet,
    logQueryError: quiet,
    logQuerySlow: quiet,
    logSchemaBuild: quiet,
    logMigration: quiet,
    log: (_level, message) => void log.push(String(message)),
  }
  const source = new DataSource({
    type: 'postgres',
    // A class that gives this pool, whatever it is made with.
    driver: {
      ...pg,
      Pool: function Pool() {
        return pgPool
      },
    },
    entities: [Account],
    synchronize: true,
    logNotifications: true,
    logger,
  })
  return await source.initialize()
}

test('TypeORM works on the facade: its schema, transactions and savepoints, also when its sessions are killed', async () => {
  const pool = testPool(database.url, { max: 3 })
  const source = await dataSource(pool)
  const accounts = source.getRepository(Account)
  await accounts.save([
    { id: 1, amount: 10 },
    { id: 2, amount: 20 },
  ])
  await source.transaction(async (manager) => {
    await manager.decrement(Account, { id: 1 }, 'amount', 5)
    await rejection(manager.transaction((inner) => inner.insert(Account, { id: 1, amount: 0 })))
    await manager.increment(Account, { id: 2 }, 'amount', 5)
  })
  await killSessions(database.url, pool)
  expect(await accounts.find({ order: { id: 'asc' } })).toEqual([
    { id: 1, amount: 5 },
    { id: 2, amount: 25 },
  ])
  const lost = source.transaction(async (manager) => {
    await manager.update(Account, { id: 1 }, { amount: 0 })
    await killSessions(database.url, pool)
    await manager.delete(Account, { id: 2 })
  })
  // TypeORM hears of it on the client, and takes the runner away.
  expect((await rejection(lost)).message).toMatch(/released|connection/)
  await eventually('nothing is held', () => pool.stats().pool.active === 0)
  expect(await accounts.findOneBy({ id: 1 })).toEqual({ id: 1, amount: 5 })

  const failed = pool.withTransaction(async () => {
    await accounts.insert({ id: 3, amount: 1 })
    await source.transaction((manager) => manager.insert(Account, { id: 4, amount: 1 }))
    expect(await accounts.count()).toBe(4)
    throw new Error('no')
  })
  expect((await rejection(failed)).message).toBe('no')
  expect(await accounts.count()).toBe(2)
  // TypeORM ends the pool that its driver has made.
  await source.destroy()
  expect((await rejection(pool.query('select 1'))).code).toBe('LIFEGUARD_POOL_CLOSED')
})

test('its logNotifications hears what comes on the connection that it has set up, over all its checkouts', async () => {
  const log: string[] = []
  const pool = testPool(database.url, { max: 1 })
  const source = await dataSource(pool, log)
  await source.query('listen news')
  await source.query("notify news, 'to all'")
  await source.query("do $$ begin raise notice 'by the way'; end $$")
  await eventually('both are logged', () => log.length >= 2)
  expect(log).toEqual(['Received NOTIFY on channel news: to all.', 'by the way'])
  await source.destroy()
})
