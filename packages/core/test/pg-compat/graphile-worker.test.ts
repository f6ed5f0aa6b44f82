import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { Logger, run } from 'graphile-worker'
import pg from 'pg'
import { expect, test } from 'vitest'
import { eventually, testPool } from '../support/test-pool.js'

const database = useDatabase()

test('graphile-worker runs its jobs over the facade, woken by NOTIFY, also when its sessions are killed', async () => {
  const pool = testPool(database.url, { max: 5 })
  const pgPool = pool.asPgPool()
  const done: number[] = []
  const runner = await run({
    pgPool,
    concurrency: 2,
    // So long that a job is only begun because a notification came.
    pollInterval: 600_000,
    noHandleSignals: true,
    logger: new Logger(() => () => undefined),
    taskList: {
      mail: async (payload, { withPgClient }) => {
        const { n } = payload as { n: number }
        const { rows } = await withPgClient((client) => client.query('select $1::int as n', [n]))
        done.push(rows[0].n)
      },
    },
  })
  for (let n = 1; n <= 3; n++) await runner.addJob('mail', { n })
  await eventually('the first jobs are done', () => done.length === 3)

  const listener = async (): Promise<number | undefined> => {
    const { rows } = await pgPool.query(
      'select pid from pg_stat_activity where datname = current_database() and query ilike \'%listen "jobs:insert"%\' and pid <> pg_backend_pid()',
    )
    return rows[0]?.pid
  }
  const before = await eventually('it listens', listener)
  const admin = new pg.Client(database.url)
  await admin.connect()
  await admin.query(
    'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
  )
  await admin.end()
  await eventually('it listens again', async () => {
    // The first may be sent on a session that has just been killed, before the word of that has come.
    const pid = await listener().catch(() => undefined)
    return pid !== undefined && pid !== before
  })
  for (let n = 4; n <= 6; n++) await runner.addJob('mail', { n })
  await eventually('the jobs after the kill are done', () => done.length === 6)
  expect(done.sort()).toEqual([1, 2, 3, 4, 5, 6])
  await runner.stop()
  await eventually('every client is released', () => pool.stats().pool.active === 0)
  expect((await pgPool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
})
