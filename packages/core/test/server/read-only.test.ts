import { useDatabase } from '@pg-lifeguard/testing/vitest'
import pg from 'pg'
import { expect, test } from 'vitest'
import type { Pool, PoolEvents, PoolOptions } from '../../src/index.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table written (id serial)' })

/** From now on sessions that are opened are read-only, or are not; as behind a name that moves to another server. */
async function setReadOnly(isReadOnly: boolean): Promise<void> {
  const admin = new pg.Client({ connectionString: database.url, options: '-c default_transaction_read_only=off' })
  await admin.connect()
  const name = admin.escapeIdentifier(admin.database ?? '')
  await admin.query(
    isReadOnly
      ? `alter database ${name} set default_transaction_read_only = on`
      : `alter database ${name} reset default_transaction_read_only`,
  )
  await admin.end()
}

const insert = 'insert into written default values'

test('a session that refuses a write as read-only is replaced, and an event says so', async () => {
  await setReadOnly(true)
  const pool = testPool(database.url, { max: 3 })
  const seen: PoolEvents['read-only'][] = []
  const reasons: string[] = []
  pool.on('read-only', (event) => seen.push(event))
  pool.on('close', ({ reason }) => reasons.push(reason))
  const three = await Promise.all([1, 2, 3].map(() => pool.acquire()))
  for (const one of three) one.release()
  await setReadOnly(false)
  // Each of the three finds it out once, whichever way it is written.
  const failed = [
    await rejection(pool.query(insert)),
    await rejection(pool.withTransaction((tx) => tx.query(insert))),
    await rejection(pool.batch([{ text: insert }])),
  ]
  expect(failed.map(({ code, cause }) => (cause as { code?: string } | undefined)?.code ?? code)).toEqual([
    '25006',
    '25006',
    '25006',
  ])
  await pool.query(insert)
  expect(seen).toHaveLength(3)
  expect(seen[0]).toMatchObject({ role: 'primary', error: { code: '25006' } })
  expect(seen[0]?.pid).toBeGreaterThan(0)
  expect(reasons).toEqual(['unfit', 'unfit', 'unfit'])
})

test('where every session refuses, not every write costs a connection', async () => {
  await setReadOnly(true)
  const pool = testPool(database.url, { max: 2 })
  let opened = 0
  pool.on('connect', () => opened++)
  for (let time = 0; time < 30; time++) expect((await rejection(pool.query(insert))).code).toBe('25006')
  expect(opened).toBeLessThan(10)
  expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  await setReadOnly(false)
})

test('when the address leads to a server that takes writes again, each session that is left is refused one write at most', async () => {
  await setReadOnly(true)
  const pool = testPool(database.url, { max: 3 })
  // More than are replaced at once: the sessions that are there now are kept.
  for (let time = 0; time < 20; time++) expect((await rejection(pool.query(insert))).code).toBe('25006')
  const refusedOnEach = async (): Promise<number> => {
    const three = await Promise.all([1, 2, 3].map(() => pool.acquire()))
    const written = await Promise.allSettled(three.map((one) => one.query(insert)))
    for (const one of three) one.release()
    return written.filter(({ status }) => status === 'rejected').length
  }
  expect(await refusedOnEach()).toBe(3)
  await setReadOnly(false)
  await eventually('one of them is replaced', async () => (await refusedOnEach()) < 3)
  await refusedOnEach()
  expect(await refusedOnEach()).toBe(0)
})

test('who has asked for a read-only transaction, session or server keeps the connection', async () => {
  let opened = 0
  const counted = (options: Partial<PoolOptions>): Pool => {
    const pool = testPool(database.url, { max: 1, ...options })
    pool.on('connect', () => opened++)
    return pool
  }
  const pool = counted({})
  expect((await rejection(pool.withTransaction((tx) => tx.query(insert), { readOnly: true }))).code).toBe('25006')
  expect((await rejection(pool.query(`begin read only; ${insert}; commit`))).code).toBeDefined()
  const asked = counted({ settings: { default_transaction_read_only: 'on' } })
  expect((await rejection(asked.query(insert))).code).toBe('25006')
  const either = counted({ targetSessionAttrs: 'prefer-standby' })
  await either.query(insert)
  await asked.query('select 1')
  expect(opened).toBe(3)
})
