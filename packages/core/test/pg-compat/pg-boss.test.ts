import { useDatabase } from '@pg-lifeguard/testing/vitest'
import pg from 'pg'
import { PgBoss } from 'pg-boss'
import { expect, test } from 'vitest'
import { eventually, testPool } from '../support/test-pool.js'

const database = useDatabase()

test('pg-boss runs its jobs over the facade, also when its sessions are killed', async () => {
  const pool = testPool(database.url, { max: 4 })
  const pgPool = pool.asPgPool()
  const boss = new PgBoss({
    db: { executeSql: (text, values) => pgPool.query(text, values as unknown[]) },
    supervise: false,
    schedule: false,
  })
  const errors: unknown[] = []
  boss.on('error', (error) => errors.push(error))
  await boss.start()
  await boss.createQueue('mail')
  const done: number[] = []
  await boss.work<{ n: number }>('mail', { pollingIntervalSeconds: 0.5 }, async (jobs) => {
    for (const { data } of jobs) done.push(data.n)
  })
  for (let n = 1; n <= 3; n++) await boss.send('mail', { n })
  await eventually('the first jobs are done', () => done.length === 3)

  const closed = new Set<number>()
  pool.on('close', ({ pid }) => closed.add(pid))
  const admin = new pg.Client(database.url)
  await admin.connect()
  const { rows: killed } = await admin.query<{ pid: number }>(
    'select pid, pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
  )
  await admin.end()
  expect(killed.length).toBeGreaterThan(0)
  // A job that is sent over one of them would share its end.
  await eventually('the dead are gone', () => killed.every(({ pid }) => closed.has(pid)))
  for (let n = 4; n <= 6; n++) await boss.send('mail', { n })
  await eventually('the jobs after the kill are done', () => done.length === 6)
  expect(done.sort()).toEqual([1, 2, 3, 4, 5, 6])

  // A job that is sent in a transaction is sent with it, or not at all.
  await pool.withTransaction(() => boss.send('mail', { n: 7 }))
  await pool
    .withTransaction(async () => {
      await boss.send('mail', { n: 8 })
      throw new Error('undone')
    })
    .catch(() => undefined)
  await eventually('the job of the transaction is done', () => done.includes(7))
  const { rows } = await pgPool.query("select count(*)::int as n from pgboss.job where data ->> 'n' = '8'")
  expect(rows).toEqual([{ n: 0 }])
  await boss.stop({ graceful: true })
  expect(pool.stats()).toMatchObject({ pool: { active: 0 }, waits: { waiting: 0 } })
})
