import { AsyncLocalStorage } from 'node:async_hooks'
import { tracingChannel } from 'node:diagnostics_channel'
import { expect, test } from 'vitest'
import {
  classify,
  type Pool,
  type PoolStats,
  type QueryEvent,
  type QueryTrace,
  type RouteEvent,
  sqlStateOf,
} from '../../src/index.js'
import { onServer, useCluster } from '../support/test-cluster.js'
import { eventually, rejection } from '../support/test-pool.js'

const bench = useCluster(
  `create table item (id int primary key, name text);
   insert into item select n, 'item ' || n from generate_series(1, 2000) n;
   create table conflict (id int);
   insert into conflict select generate_series(1, 1000)`,
  // A replica that has to replay cancels at once what stands in its way.
  { replicaSettings: { max_standby_streaming_delay: '0', hot_standby_feedback: 'off' } },
)

const allItems = 'select id from item order by id'
const manyConflicts = 'select a.id from conflict a, conflict b'

/** What a run tells of its ways: `replica fresh`. */
async function routesOf(pool: Pool, run: () => Promise<unknown>): Promise<string[]> {
  const routes: RouteEvent[] = []
  const stop = pool.on('route', (event) => routes.push(event))
  try {
    await run()
  } finally {
    stop()
  }
  return routes.map(({ role, reason }) => `${role} ${reason}`)
}

async function idsOf(pool: Pool, text: string, values: unknown[] = []): Promise<number[]> {
  const ids: number[] = []
  for await (const { id } of pool.stream<{ id: number }>(text, values, { batchSize: 100 })) ids.push(id)
  return ids
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, at) => at + 1)

test('inside of read() it comes from a replica, in a read-only transaction, and outside from the primary', async () => {
  const { cluster } = bench()
  const pool = bench().pool({ readFunctions: ['current_setting'] })
  const whereText = `select current_setting('port')::int as id, current_setting('transaction_read_only') as readonly`
  const replicaPorts = cluster.replicas.map(({ port }) => port)
  const rows: { id: number; readonly: string }[] = []
  const routes = await routesOf(pool, () =>
    pool.read(async () => {
      for await (const row of pool.stream<{ id: number; readonly: string }>(whereText)) rows.push(row)
    }),
  )
  expect([routes, rows[0]?.readonly]).toEqual([['replica fresh'], 'on'])
  expect(replicaPorts).toContain(rows[0]?.id)
  expect(await idsOf(pool, whereText)).toEqual([cluster.primary.port])
  expect(await pool.read(() => idsOf(pool, allItems))).toEqual(numbers(2_000))
  await eventually('nothing is held', () =>
    pool.stats().servers.every(({ inFlight, active }) => inFlight + active === 0),
  )
})

test('belongs to the read() that it was made in, and to no other', async () => {
  const pool = bench().pool()
  const made = await pool.read(async () => [pool.stream<{ id: number }>('select id from item where id = 1')] as const)
  const outside = async (): Promise<void> => {
    for await (const { id } of made[0]) expect(id).toBe(1)
  }
  expect(await routesOf(pool, outside)).toEqual(['replica fresh'])
  const batches = pool.streamBatches<{ id: number }>({ text: 'select id from item where id < 4 order by id' })
  const inside = async (): Promise<void> => {
    for await (const rows of batches) expect(rows.map(({ id }) => id)).toEqual([1, 2, 3])
  }
  const [route] = await routesOf(pool, () => pool.read(inside))
  expect(route ?? 'primary').toMatch(/^primary/)
  // Of a transaction inside of it, it is that one's.
  const stream = await pool.read(() =>
    pool.withTransaction(async () => [pool.stream('select id from item')] as const, { readOnly: true }),
  )
  expect(await rejection(stream[0].next())).toMatchObject({ code: 'LIFEGUARD_TRANSACTION_CLOSED' })
  await eventually('nothing is held', () =>
    pool.stats().servers.every(({ inFlight, active }) => inFlight + active === 0),
  )
})

test('left early, and with a consumer that fails, it gives back what it held', async () => {
  const pool = bench().pool()
  const boom = new Error('boom')
  const leave = async (how: 'early' | 'failing'): Promise<void> => {
    for await (const { id } of pool.stream<{ id: number }>(allItems, [], { batchSize: 10 })) {
      if (id < 15) continue
      if (how === 'failing') throw boom
      break
    }
  }
  await pool.read(() => leave('early'))
  expect(await rejection(pool.read(() => leave('failing')))).toBe(boom)
  await eventually('nothing is held', () =>
    pool.stats().servers.every(({ inFlight, active }) => inFlight + active === 0),
  )
  for (const url of bench().replicas) {
    expect(await onServer(url, "select 1 from pg_stat_activity where state like 'idle in transaction%'")).toEqual([])
  }
})

test('what writes goes to the primary and is committed there, also when only the replica sees that it does', async () => {
  await onServer(
    bench().database.url,
    `create function note() returns int language sql as $$ insert into item values (5000) returning id $$;
     create view noting as select note() as id`,
  )
  await bench().cluster.waitForReplicas()
  const pool = bench().pool()
  const insert = 'insert into item select n from generate_series(3000, 3009) n returning id'
  expect(await pool.read(() => idsOf(pool, insert))).toHaveLength(10)
  expect(await routesOf(pool, () => pool.read(() => idsOf(pool, 'select id from noting')))).toEqual([
    'replica fresh',
    'primary refused',
  ])
  expect(await onServer(bench().database.url, 'select id from item where id >= 3000')).toHaveLength(11)
})

test('within a line of work it shows what was written before', async () => {
  const pool = bench().pool({ maxLagMs: 60_000, causalityWaitMs: 50 })
  await pool.read(() => idsOf(pool, 'select id from item where id = 1'))
  for (const server of bench().cluster.replicas) await server.pauseReplay()
  try {
    await pool.withCausality(undefined, async () => {
      await pool.query('insert into item values (6000)')
      const read = () => pool.read(() => idsOf(pool, 'select id from item where id = 6000'))
      const found: number[][] = []
      const routes = await routesOf(pool, async () => found.push(await read()))
      expect([routes, found]).toEqual([['primary causality'], [[6_000]]])
    })
  } finally {
    for (const server of bench().cluster.replicas) await server.resumeReplay()
  }
})

test('a read-only transaction on a replica can stream, too', async () => {
  const pool = bench().pool()
  let runs = 0
  const routes = await routesOf(pool, () =>
    pool.read(() =>
      pool.withTransaction(
        async (tx) => {
          runs += 1
          let count = 0
          for await (const batch of tx.streamBatches({ text: 'select id from item where id <= 2000' })) {
            count += batch.length
          }
          expect(count).toBe(2_000)
        },
        { readOnly: true },
      ),
    ),
  )
  expect([runs, routes]).toEqual([1, ['replica fresh']])
})

test('a savepoint that is undone leaves a read-only transaction on a replica as it was', async () => {
  const pool = bench().pool()
  let runs = 0
  const work = (): Promise<void> =>
    pool.withTransaction(
      async (tx) => {
        runs += 1
        const failing = tx.withTransaction((inner) => inner.query('select 1 / (id - 1) from item where id = 1'))
        expect(await rejection(failing)).toMatchObject({ code: '22012' })
        expect((await tx.query('select id from item where id = 2')).rows).toEqual([{ id: 2 }])
      },
      { readOnly: true },
    )
  expect([await routesOf(pool, () => pool.read(work)), runs]).toEqual([['replica fresh'], 1])
})

test('left while the next batch is asked for and fails, it is over without an error', async () => {
  const pool = bench().pool()
  const text = 'select 1 / (21 - id), id from item order by id'
  const read = async (): Promise<void> => {
    for await (const { id } of pool.stream<{ id: number }>(text, [], { batchSize: 10 })) if (id === 15) break
  }
  expect(await routesOf(pool, () => pool.read(read))).toEqual(['replica fresh'])
  expect(await rejection(pool.read(() => idsOf(pool, text)))).toMatchObject({ code: '22012' })
  await eventually('nothing is held', () =>
    pool.stats().servers.every(({ inFlight, active }) => inFlight + active === 0),
  )
})

/** Makes every replica cancel what reads from the table: it has to replay that rows are gone. */
async function provoke(): Promise<void> {
  await onServer(bench().database.url, 'truncate conflict; insert into conflict select generate_series(1, 1000)')
}

test('a recovery conflict before the first row: read on the next host, and nobody sees it', async () => {
  const pool = bench().pool({ maxLagMs: 60_000 })
  await pool.read(() => idsOf(pool, 'select id from item where id = 1'))
  const routes: RouteEvent[] = []
  pool.on('route', (event) => routes.push(event))
  // All of it is counted before there is a row: time enough for the conflict.
  const reading = pool.read(() => idsOf(pool, 'select count(*)::int as id from conflict a, generate_series(1, 20000)'))
  await eventually('it runs on a replica', async () => {
    const running = await Promise.all(
      bench().replicas.map((url) =>
        onServer(
          url,
          "select 1 from pg_stat_activity where query like '%from conflict a%' and state = 'active' and pid <> pg_backend_pid()",
        ),
      ),
    )
    return running.flat().length > 0
  })
  await provoke()
  expect(await reading).toEqual([20_000_000])
  const [first, second] = routes
  expect([first?.role, first?.reason]).toEqual(['replica', 'fresh'])
  expect(second?.address).not.toBe(first?.address)
})

test('a recovery conflict after the first row is told as what it is, and the connection is clean', async () => {
  const pool = bench().pool({ maxLagMs: 60_000 })
  const lost: unknown[] = []
  pool.on('error', ({ error }) => lost.push(error))
  let rows = 0
  const error = await rejection(
    pool.read(async () => {
      for await (const _ of pool.stream(manyConflicts, [], { batchSize: 1_000 })) {
        rows += 1
        if (rows > 1) continue
        await provoke()
        // The session that stands between two batches is ended by the replica.
        await eventually('it is in the way', () => lost.length > 0)
      }
    }),
  )
  expect(rows).toBe(1_000)
  expect(classify(error)).toBe('conflict')
  expect(sqlStateOf(error)).toBe('40001')
  expect(error.stack).toContain('streams.test.ts')
  await eventually('nothing is held', () =>
    pool.stats().servers.every(({ inFlight, active }) => inFlight + active === 0),
  )
  expect(await pool.read(() => idsOf(pool, 'select id from item where id = 1'))).toEqual([1])
})

test('a stream of a replica is one statement of that replica, with a histogram of its own', async () => {
  const someItems = 'select id from item where id <= 1000 order by id'
  const pool = bench().pool()
  await pool.read(() => pool.query('select 1'))
  const events: QueryEvent[] = []
  pool.on('query', (event) => events.push(event))
  const before = pool.stats()
  expect(await pool.read(() => idsOf(pool, someItems))).toEqual(numbers(1_000))
  expect(events).toMatchObject([{ text: someItems, role: 'replica', rowCount: 1_000, error: undefined }])
  expect(events[0]?.firstRowMs).toBeGreaterThan(0)
  const after = pool.stats()
  const at = after.servers.findIndex(({ address }) => address === events[0]?.address)
  const host = (stats: PoolStats) => stats.servers[at] as PoolStats['servers'][number]
  expect(host(after)).toMatchObject({ role: 'replica', queries: { ok: host(before).queries.ok + 1 } })
  expect(host(after).queries.durationMs.count - host(before).queries.durationMs.count).toBe(1)
  expect(host(after).waits.durationMs.count).toBeGreaterThan(host(before).waits.durationMs.count)
  expect(after.queries.ok).toBe(before.queries.ok)
})

test('statements for replicas and for the primary are traced in the context of their caller', async () => {
  const pool = bench().pool({ max: 1 })
  await pool.read(() => pool.query('select 1'))
  const requests = new AsyncLocalStorage<number>()
  const seen: [string, number | undefined][] = []
  const see = ({ text }: QueryTrace): void => void seen.push([text, requests.getStore()])
  const tracer = { start: see, end: see, asyncStart: see, asyncEnd: see, error: see }
  const channels = tracingChannel<unknown, QueryTrace>('pg-lifeguard:query')
  channels.subscribe(tracer)
  await Promise.all(
    numbers(12).map((id) =>
      requests.run(id, () =>
        pool.read(async () => {
          const text = `select ${id} as request_${id}_`
          await pool.query(text)
          await idsOf(pool, text)
          await pool.withTransaction((tx) => tx.query(text))
          await pool.query(text)
        }),
      ),
    ),
  )
  channels.unsubscribe(tracer)
  const named = seen.filter(([text]) => text.includes('request_'))
  expect(named).toHaveLength(12 * 4 * 4)
  expect(named.filter(([text, store]) => !text.includes(`request_${store}_`))).toEqual([])
  const commits = seen.filter(([text]) => text.startsWith('commit'))
  expect(new Set(commits.map(([, store]) => store))).toEqual(new Set(numbers(12)))
})
