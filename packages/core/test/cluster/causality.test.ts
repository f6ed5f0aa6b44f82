import { startFaultProxy } from '@pg-lifeguard/testing'
import { expect, test } from 'vitest'
import { createPool, InvalidArgumentError, type Pool } from '../../src/index.js'
import { randomFrom } from '../support/seeded.js'
import { onServer, useCluster } from '../support/test-cluster.js'
import { eventually, rejection } from '../support/test-pool.js'

const bench = useCluster('create table item (id int primary key, version int not null)')

async function versionOf(pool: Pool, id: number): Promise<number | undefined> {
  const { rows } = await pool.read(() =>
    pool.query<{ version: number }>('select version from item where id = $1', [id]),
  )
  return rows[0]?.version
}

/** Delays the replay of both replicas by chance, until it is told to stop. */
async function delayReplay(random: () => number, longestMs: number, isOver: () => boolean): Promise<void> {
  await Promise.all(
    bench().cluster.replicas.map(async (server) => {
      while (!isOver()) {
        await server.pauseReplay()
        await new Promise((resolve) => setTimeout(resolve, random() * longestMs))
        await server.resumeReplay()
        await new Promise((resolve) => setTimeout(resolve, random() * 20))
      }
    }),
  )
}

test('within a line of work every read shows what was written before, however late the replicas are', async () => {
  const pool = bench().pool({ maxLagMs: 5_000, causalityWaitMs: 2_000, max: 20 })
  const pairs = 400
  let stale = 0
  let next = 0
  let over = false
  const delaying = delayReplay(randomFrom(7), 200, () => over)
  const worker = async (): Promise<void> => {
    for (let id = next++; id < pairs; id = next++) {
      await pool.withCausality(undefined, async () => {
        await pool.query('insert into item values ($1, 1)', [id])
        if ((await versionOf(pool, id)) !== 1) stale += 1
        await pool.withTransaction((tx) => tx.query('update item set version = 2 where id = $1', [id]))
        if ((await versionOf(pool, id)) !== 2) stale += 1
        {
          await using connection = await pool.acquire()
          await connection.query('update item set version = 3 where id = $1', [id])
        }
        if ((await versionOf(pool, id)) !== 3) stale += 1
      })
    }
  }
  await Promise.all(Array.from({ length: 20 }, worker))
  over = true
  await delaying
  const hosts = pool.stats().servers
  const byReplicas = hosts.slice(1).reduce((sum, { share }) => sum + share, 0)
  expect(stale).toBe(0)
  expect(byReplicas).toBeGreaterThan(0.9)
})

test('without one, the same reads are stale: the delay is real', async () => {
  const { cluster } = bench()
  const pool = bench().pool({ maxLagMs: 60_000 })
  await pool.query('insert into item values (1000, 1)')
  await cluster.waitForReplicas()
  expect(await versionOf(pool, 1000)).toBe(1) // from here on the pool knows how old the replicas are
  for (const server of cluster.replicas) await server.pauseReplay()
  try {
    await pool.query('update item set version = 2 where id = 1000')
    expect(await versionOf(pool, 1000)).toBe(1)
    // Where the wait ends in vain, the primary has it.
    await pool.withCausality(undefined, async () => {
      await pool.query('update item set version = 3 where id = 1000')
      expect(await versionOf(pool, 1000)).toBe(3)
    })
    // Inside of one read(), what is written there is seen there.
    const [row] = await pool.read(async () => {
      await pool.query('update item set version = 4 where id = 1000')
      return (await pool.query<{ version: number }>('select version from item where id = 1000')).rows
    })
    expect(row?.version).toBe(4)
  } finally {
    for (const server of cluster.replicas) await server.resumeReplay()
  }
})

test('a token carries over to another pool', async () => {
  const { cluster, database, replicas } = bench()
  const writing = bench().pool()
  await using reading = createPool({ connectionString: database.url, replicas, maxLagMs: 60_000 })
  await writing.query('insert into item values (2000, 1)')
  await cluster.waitForReplicas()
  expect(await versionOf(reading, 2000)).toBe(1)
  for (const server of cluster.replicas) await server.pauseReplay()
  try {
    const token = await writing.withCausality(undefined, async () => {
      expect(await writing.causalToken()).toBeUndefined()
      await writing.query('update item set version = 2 where id = 2000')
      return await writing.causalToken()
    })
    expect(token).toMatch(/^v1\.1\.[0-9A-F]+-[0-9A-F]+$/)
    expect(await versionOf(reading, 2000)).toBe(1)
    expect(await reading.withCausality(token, () => versionOf(reading, 2000))).toBe(2)
    expect(await reading.withCausality(token, () => reading.causalToken())).toBe(token)
    // A pool without replicas has tokens too, for those who have some.
    await using plain = createPool({ connectionString: database.url })
    expect(await plain.causalToken()).toMatch(/^v1\.1\./)
    // One from the future, made up or of another cluster, costs a wait and no more.
    expect(await reading.withCausality('v1.9.FFFFFFFF-FFFFFFFF', () => versionOf(reading, 2000))).toBe(2)
    expect(await rejection(reading.withCausality('v2.1.0-1', () => versionOf(reading, 2000)))).toBeInstanceOf(
      InvalidArgumentError,
    )
  } finally {
    for (const server of cluster.replicas) await server.resumeReplay()
  }
})

test('a nested line of work sees the outer one, and the outer one sees what it wrote', async () => {
  const { cluster } = bench()
  const pool = bench().pool({ maxLagMs: 60_000 })
  await pool.query('insert into item values (3000, 1), (3001, 1)')
  await cluster.waitForReplicas()
  for (const server of cluster.replicas) await server.pauseReplay()
  try {
    await pool.withCausality(undefined, async () => {
      await pool.query('update item set version = 2 where id = 3000')
      await pool.withCausality(undefined, async () => {
        expect(await versionOf(pool, 3000)).toBe(2)
        await pool.query('update item set version = 2 where id = 3001')
      })
      expect(await versionOf(pool, 3001)).toBe(2)
    })
  } finally {
    for (const server of cluster.replicas) await server.resumeReplay()
  }
})

test('the position travels with COMMIT: no round trip more, and its failure is not the failure of the commit', async () => {
  await using proxy = await startFaultProxy({ target: bench().database.url })
  const pool = bench().pool({ connectionString: proxy.url, applicationName: 'positions' })
  const write = (id: number) =>
    pool.withCausality(undefined, async () => {
      await pool.withTransaction((tx) => tx.query('insert into item values ($1, 1)', [id]))
      return await pool.causalToken()
    })
  await write(4000)
  const before = (await proxy.stats()).messages.toServer
  await write(4001)
  const after = (await proxy.stats()).messages.toServer
  const trips = (of: typeof before): number => (of.Sync ?? 0) + (of.Query ?? 0)
  expect(trips(after) - trips(before)).toBe(2)
  // The connection is cut when COMMIT has been answered, before what comes behind it is.
  const cut = await proxy.rule({
    direction: 'to-client',
    message: 'CommandComplete',
    text: 'COMMIT',
    when: 'after',
    action: 'cut',
  })
  expect(await write(4002)).toMatch(/^v1\./)
  expect(await cut.count()).toBe(1)
  expect(await onServer(bench().database.url, 'select id from item where id > 3999 order by 1')).toEqual(
    [4000, 4001, 4002].map((id) => ({ id })),
  )
})

test('what is written through a pg.Pool-shaped client is seen as well', async () => {
  const { cluster } = bench()
  const pool = bench().pool({ maxLagMs: 60_000 })
  await pool.query('insert into item values (5000, 1)')
  await cluster.waitForReplicas()
  expect(await versionOf(pool, 5000)).toBe(1)
  for (const server of cluster.replicas) await server.pauseReplay()
  try {
    await pool.withCausality(undefined, async () => {
      const client = await pool.asPgPool().connect()
      await client.query('begin')
      await client.query('update item set version = 2 where id = 5000')
      await client.query('commit')
      client.release()
      expect(await versionOf(pool, 5000)).toBe(2)
    })
  } finally {
    for (const server of cluster.replicas) await server.resumeReplay()
  }
})

test('a deferred constraint still fails the transaction at COMMIT', async () => {
  await onServer(
    bench().database.url,
    'create table pair (id int primary key, other int references pair deferrable initially deferred)',
  )
  const pool = bench().pool()
  const error = await rejection(
    pool.withCausality(undefined, () => pool.withTransaction((tx) => tx.query('insert into pair values (1, 2)'))),
  )
  expect(error.code).toBe('23503')
})

test.each([
  ['a place that the primary has not reached', 'v1.1.FFFFFFFF-0'],
  ['a timeline that there is not', 'v1.4294967295.0-1'],
  ['both', 'v1.4294967295.FFFFFFFF-FFFFFFFF'],
])('a token of %s does not hold up reads: it is clamped to where the primary is', async (_, token) => {
  const pool = bench().pool({ maxLagMs: 60_000, causalityWaitMs: 5_000 })
  await pool.query('insert into item values (2000, 1) on conflict (id) do update set version = 1')
  await eventually('replicas are read from', async () => {
    await versionOf(pool, 2000)
    return pool
      .stats()
      .servers.slice(1)
      .some(({ share }) => share > 0)
  })
  const reasons = new Map<string, number>()
  pool.on('route', ({ role, reason }) => {
    const key = `${role} ${reason}`
    reasons.set(key, (reasons.get(key) ?? 0) + 1)
  })
  const since = performance.now()
  const given = await pool.withCausality(token, async () => {
    expect(await versionOf(pool, 2000)).toBe(1)
    // What is written here is seen, and so it is by whoever is given the token of here.
    await pool.query('update item set version = version + 1 where id = 2000')
    for (let i = 0; i < 10; i += 1) expect(await versionOf(pool, 2000)).toBe(2)
    return await pool.causalToken()
  })
  expect(performance.now() - since).toBeLessThan(4_000)
  expect(reasons.get('primary causality') ?? 0).toBe(0)
  expect(given).not.toBe(token)
  expect(await pool.withCausality(given, () => versionOf(pool, 2000))).toBe(2)
})
