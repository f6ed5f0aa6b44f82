import { expect, test } from 'vitest'
import { isReadOnlyText, type Pool, type RouteEvent } from '../../src/index.js'
import { readFunctionNames } from '../../src/sql/read-rule.js'
import { onServer, useCluster } from '../support/test-cluster.js'
import { eventually } from '../support/test-pool.js'

const bench = useCluster('create table item (id int primary key, stock int not null default 0)')

/** What a statement tells of its way. */
async function routesOf(pool: Pool, run: () => Promise<unknown>): Promise<RouteEvent[]> {
  const routes: RouteEvent[] = []
  const stop = pool.on('route', (event) => routes.push(event))
  try {
    await run()
  } finally {
    stop()
  }
  return routes
}

test('reads inside of read() go to replicas, everything else to the primary', async () => {
  const { cluster } = bench()
  const pool = bench().pool()
  const portOf = async (): Promise<number> => {
    const { rows } = await pool.query<{ port: number }>("select current_setting('port')::int as port")
    return rows[0]?.port ?? 0
  }
  expect(await portOf()).toBe(cluster.primary.port)
  const [outside] = await routesOf(pool, () => pool.query('select 1'))
  expect(outside).toMatchObject({ role: 'primary', reason: 'not-in-read', text: 'select 1' })
  const [inside] = await routesOf(pool, () => pool.read(() => pool.query('select count(*) from item')))
  expect(inside).toMatchObject({ role: 'replica', reason: 'fresh' })
  for (const text of [
    'insert into item values (1)',
    'select * from item for update',
    'with gone as (delete from item returning id) select id from gone',
    'select pg_advisory_lock(1)',
    'select 1; select 2',
  ]) {
    const [route] = await routesOf(pool, () => pool.read(() => pool.query(text)))
    expect(route, text).toMatchObject({ role: 'primary', reason: 'not-read-only' })
  }
})

test('a function that is called by a word of SQL is a call, for every word that this server knows', async () => {
  const pool = bench().pool()
  const { rows } = await pool.query<{ word: string; isFree: boolean }>(
    // A function cannot be called by the others, unless behind its schema.
    `select word, catcode in ('U', 'T') as "isFree" from pg_get_keywords()`,
  )
  const words = rows.filter(({ word }) => !readFunctionNames.includes(word))
  const free = words.filter(({ isFree }) => isFree).map(({ word }) => word)
  expect(free.length).toBeGreaterThan(200)
  const texts = [
    ...words.map(({ word }) => `select shop.${word}(1)`),
    ...free.flatMap((word) => [
      `select ${word}(1)`,
      `select x, ${word} (x) from item`,
      `select x from item where x = 1 and not ${word}(x)`,
      `select x from item order by ${word}(x)`,
      `select x from item group by x having ${word}(x) > 1`,
      `select x from item where x in (1, ${word}(2))`,
      `select case when ${word}(x) then ${word}(1) else ${word}(2) end from item`,
      `select * from ${word}(1)`,
      `select * from item, ${word}(1) as t(x)`,
      `values (${word}(1))`,
    ]),
  ]
  expect(texts.filter(isReadOnlyText)).toEqual([])
})

test('what a replica has no data of, an unlogged table, is read from the primary', async () => {
  const { cluster, database } = bench()
  await onServer(database.url, 'create unlogged table visit (id int)')
  await cluster.waitForReplicas()
  const pool = bench().pool()
  const text = 'select count(*)::int as visits from visit'
  const read = () => pool.read(() => pool.query(text))
  expect((await read()).rows).toEqual([{ visits: 0 }])
  expect(await routesOf(pool, read)).toMatchObject([{ role: 'primary', reason: 'not-read-only' }])
})

test('inside a transaction everything runs on its connection', async () => {
  const pool = bench().pool()
  await pool.read(() =>
    pool.withTransaction(async (tx) => {
      const { rows: mine } = await tx.query<{ pid: number }>('select pg_backend_pid() as pid')
      const { rows } = await pool.read(() => pool.query<{ pid: number }>('select pg_backend_pid() as pid'))
      expect(rows).toEqual(mine)
    }),
  )
})

test('a replica that is too far behind is not read from, until it has caught up', async () => {
  const { cluster, database } = bench()
  const pool = bench().pool({ maxLagMs: 200 })
  const role = async (): Promise<string | undefined> =>
    (await routesOf(pool, () => pool.read(() => pool.query('select count(*) from item')))).at(-1)?.role
  await eventually('replicas are read from', async () => (await role()) === 'replica')
  for (const server of cluster.replicas) await server.pauseReplay()
  try {
    await onServer(database.url, 'insert into item values (100)')
    await eventually('reads leave the replicas', async () => (await role()) === 'primary')
    expect(await routesOf(pool, () => pool.read(() => pool.query('select 1')))).toMatchObject([{ reason: 'lag' }])
    const [generous] = await routesOf(pool, () => pool.read(() => pool.query('select 1'), { maxLagMs: 3_600_000 }))
    expect(generous).toMatchObject({ role: 'replica' })
    const [byBytes] = await routesOf(pool, () =>
      pool.read(() => pool.query('select 1'), { maxLagMs: 0, maxLagBytes: 1e9 }),
    )
    expect(byBytes).toMatchObject({ role: 'replica' })
  } finally {
    for (const server of cluster.replicas) await server.resumeReplay()
  }
  await eventually('reads come back', async () => (await role()) === 'replica')
})

test('a read-only transaction inside of read() runs on a replica, unless it is serializable', async () => {
  const { cluster } = bench()
  const pool = bench().pool({ readFunctions: ['current_setting'] })
  const portIn = (options: object): Promise<number | undefined> =>
    pool.read(() =>
      pool.withTransaction(async (tx) => {
        const { rows } = await tx.query<{ port: number }>("select current_setting('port')::int as port")
        return rows[0]?.port
      }, options),
    )
  const replicaPorts = cluster.replicas.map(({ port }) => port)
  expect(replicaPorts).toContain(await portIn({ readOnly: true }))
  expect(replicaPorts).toContain(await portIn({ readOnly: true, isolation: 'repeatable read' }))
  expect(await portIn({ readOnly: true, isolation: 'serializable' })).toBe(cluster.primary.port)
  expect(await portIn({})).toBe(cluster.primary.port)
})

test('a read-only transaction that meets what may write is run again on the primary', async () => {
  const pool = bench().pool()
  let runs = 0
  const pids = await pool.read(() =>
    pool.withTransaction(
      async (tx) => {
        runs += 1
        await tx.query('select count(*) from item')
        return (await tx.query('select pg_advisory_xact_lock(77)')).rowCount
      },
      { readOnly: true },
    ),
  )
  expect({ runs, pids }).toEqual({ runs: 2, pids: 1 })
})

test('a function that the user vouches for and that writes after all: primary, and remembered', async () => {
  await onServer(
    bench().database.url,
    'create function count_up() returns int language sql as $$ insert into item values (500) on conflict (id) do update set stock = item.stock + 1 returning stock $$',
  )
  await bench().cluster.waitForReplicas()
  const pool = bench().pool({ readFunctions: ['count_up'] })
  const run = () => routesOf(pool, () => pool.read(() => pool.query('select count_up() as stock')))
  expect((await run()).map(({ role, reason }) => `${role} ${reason}`)).toEqual(['replica fresh', 'primary refused'])
  expect((await run()).map(({ role, reason }) => `${role} ${reason}`)).toEqual(['primary not-read-only'])
})

test('the figures of each host', async () => {
  const pool = bench().pool()
  expect(pool.stats().servers.map(({ role }) => role)).toEqual(['unknown', 'unknown', 'unknown'])
  for (let reads = 0; reads < 50; reads += 1) await pool.read(() => pool.query('select 1'))
  const { servers } = pool.stats()
  expect(servers.map(({ role }) => role)).toEqual(['primary', 'replica', 'replica'])
  expect(servers.reduce((sum, { reads }) => sum + reads, 0)).toBe(50)
  const health = await pool.health()
  expect([health.status, health.servers.map(({ status }) => status)]).toEqual(['up', ['up', 'up', 'up']])
  for (const { lagMs, lagBytes, timeline } of servers.slice(1)) {
    expect({ timeline, lag: typeof lagMs, bytes: typeof lagBytes }).toEqual({
      timeline: 1,
      lag: 'number',
      bytes: 'number',
    })
  }
})
