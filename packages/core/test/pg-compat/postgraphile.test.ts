import { createWithPgClient, makePgService } from '@dataplan/pg/adaptors/pg'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { grafast } from 'grafast'
import { makeSchema, defaultPreset as ofGraphile } from 'graphile-build'
import { defaultPreset as ofPostgres } from 'graphile-build-pg'
import { expect, test, vi } from 'vitest'
import { killSessions } from '../support/kill-sessions.js'
import { rejection, testPool } from '../support/test-pool.js'

vi.hoisted(() => {
  // Read when its modules are loaded: the third statement drives the first one out, by DEALLOCATE.
  vi.stubEnv('GRAPHILE_ENV', 'test')
  vi.stubEnv('DATAPLAN_PG_PREPARED_STATEMENT_CACHE_SIZE', '2')
})

const database = useDatabase({
  setup: 'create table account (id int primary key, amount int not null); insert into account values (1, 10), (2, 20)',
})

test("PostGraphile's engine makes its schema over the facade and answers queries, also when sessions are killed", async () => {
  const pool = testPool(database.url, { max: 3 })
  const pgPool = pool.asPgPool()
  const preset = { extends: [ofGraphile, ofPostgres], pgServices: [makePgService({ pool: pgPool })] }
  const { schema, resolvedPreset } = await makeSchema(preset)
  const ask = (source: string): Promise<unknown> =>
    Promise.resolve(grafast({ schema, source, resolvedPreset, requestContext: {} })).then((answer) =>
      JSON.parse(JSON.stringify(answer)),
    )
  const all = { data: { allAccounts: { nodes: [{ amount: 10 }, { amount: 20 }] } } }
  expect(await ask('{ allAccounts { nodes { amount } } }')).toEqual(all)
  await killSessions(database.url, pool)
  const each = await Promise.all([1, 2, 3].map(() => ask('{ allAccounts { nodes { amount } } }')))
  expect(each).toEqual([all, all, all])
  expect(
    await ask('mutation { createAccount(input: { account: { rowId: 3, amount: 30 } }) { account { amount } } }'),
  ).toEqual({ data: { createAccount: { account: { amount: 30 } } } })
  expect(pool.stats().pool.active).toBe(0)
})

test('@dataplan/pg keeps prepared statements on a connection, and frees them, inside of transactions too', async () => {
  const pool = testPool(database.url, { max: 1 })
  const pgPool = pool.asPgPool()
  const withPgClient = createWithPgClient({ pool: pgPool })
  const kept = async (): Promise<readonly unknown[]> =>
    (await pgPool.query("select name from pg_prepared_statements where name like 'p_' order by name")).rows
  const numbers = [1, 2, 3, 1, 2, 3, 3, 1]
  // With settings it begins a transaction.
  for (const settings of [null, { 'app.user': 'ada' }]) {
    const answers = await withPgClient(settings, async (client) => {
      const found: unknown[] = []
      for (const n of numbers) {
        const { rows } = await client.query<{ n: number }>({ text: `select ${n} as n`, name: `p${n}` })
        found.push(rows[0]?.n)
      }
      return found
    })
    expect(answers).toEqual(numbers)
    expect(await kept()).toEqual([{ name: 'p1' }, { name: 'p3' }])
  }
  // What it has set up on a connection it does not set up again.
  const { rows } = await pgPool.query('show jit_optimize_above_cost')
  expect(rows).toEqual([{ jit_optimize_above_cost: '-1' }])

  const refused = withPgClient({ 'app.user': 'ada' }, (client) =>
    client.withTransaction(async (inner) => {
      await inner.query({ text: 'update account set amount = 0' })
      throw new Error('no')
    }),
  )
  expect((await rejection(refused)).message).toBe('no')
  expect((await pgPool.query('select min(amount) as least from account')).rows[0].least).toBeGreaterThan(0)
})
