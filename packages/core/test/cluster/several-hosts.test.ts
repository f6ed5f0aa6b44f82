import { tracingChannel } from 'node:diagnostics_channel'
import type { ServerNode } from '@pg-lifeguard/testing'
import { describe, expect, test } from 'vitest'
import type { FailoverEvent, Pool, PoolOptions, QueryEvent, QueryTrace } from '../../src/index.js'
import { type ClusterBench, onServer, useCluster } from '../support/test-cluster.js'
import { eventually, rejection } from '../support/test-pool.js'

const setup = 'create table entry (id int primary key)'
/** The heir has all that was answered. */
const heirsName = {
  settings: { synchronous_standby_names: '"replica-1"' },
  replicaSettings: { synchronous_standby_names: '' },
}

/** One URL with several hosts, and nothing said of replicas. */
function poolOn(bench: ClusterBench, servers: readonly ServerNode[], options: PoolOptions = {}): Pool {
  const url = new URL(bench.database.url)
  const hosts = servers.map(({ port }) => `127.0.0.1:${port}`).join(',')
  const connectionString = `postgres://postgres:${url.password}@${hosts}${url.pathname}?target_session_attrs=read-write`
  return bench.pool({ connectionString, replicas: [], ...options })
}

const whereIs = ({ port }: ServerNode): string => `127.0.0.1:${port}`

describe('several hosts of which the writer is wanted', () => {
  const bench = useCluster(setup, heirsName)

  test('the primary is killed and a standby promoted: the next write goes there, and none to the old one that comes back', async () => {
    const { cluster, database } = bench()
    const [heir, other] = cluster.replicas as [ServerNode, ServerNode]
    const all = [heir, cluster.primary, other]
    const pool = poolOn(bench(), all, { breaker: { minCalls: 5 } })
    const failovers: FailoverEvent[] = []
    pool.on('failover', (event) => failovers.push(event))
    const lost: string[] = []
    pool.on('primary-lost', ({ address }) => lost.push(address))
    const queries: QueryEvent[] = []
    pool.on('query', (event) => queries.push(event))
    const traced: QueryTrace[] = []
    const traces = tracingChannel<unknown, QueryTrace>('pg-lifeguard:query')
    const tracer = { start: (trace: QueryTrace) => void traced.push(trace) }
    traces.subscribe(tracer as Parameters<typeof traces.subscribe>[0])
    try {
      await pool.query('insert into entry values (1)')
      // The first of the list was never the primary: that is no failover.
      expect([failovers, lost]).toEqual([[], []])
      expect(queries.at(-1)).toMatchObject({ address: whereIs(cluster.primary), role: 'primary', why: 'not-in-read' })

      await cluster.primary.kill()
      const patient = pool.query('insert into entry values (2)')
      await eventually('the loss is noticed', () => lost.length > 0)
      await heir.promote()
      await patient
      expect(failovers).toEqual([{ from: whereIs(cluster.primary), to: whereIs(heir), timeline: 2 }])
      expect(await onServer(database.urlOn(heir), 'select id from entry order by id')).toEqual([{ id: 1 }, { id: 2 }])
      // Everything that is told names the server that did it.
      expect(queries.at(-1)).toMatchObject({ address: whereIs(heir), text: 'insert into entry values (2)' })
      expect(traced.at(-1)).toMatchObject({ address: whereIs(heir), text: 'insert into entry values (2)' })
      const health = await pool.health()
      expect(health.servers[0]).toMatchObject({ address: whereIs(heir), role: 'primary', breaker: { state: 'closed' } })

      // It comes back by itself, without having heard of the promotion, and takes writes from whoever asks it to.
      await cluster.primary.start()
      await onServer(database.url, 'set synchronous_commit = local; create table stray (id int)')
      await pool.withTransaction((tx) => tx.query('select 1'))
      await eventually('it is seen', async () => {
        await pool.query('select 1')
        return pool.stats().servers[1]?.role === 'replaced'
      })
      for (let id = 100; id < 120; id += 1) await pool.query('insert into entry values ($1)', [id])
      // Nor by a pool that begins now and is told of it first.
      const fresh = poolOn(bench(), [cluster.primary, heir, other])
      await Promise.all([200, 201, 202].map((id) => fresh.query('insert into entry values ($1)', [id])))
      expect(await onServer(database.url, 'select id from entry where id >= 100')).toEqual([])
      expect(await onServer(database.urlOn(heir), 'select id from entry where id >= 100')).toHaveLength(23)
      expect(fresh.stats().servers.map(({ address, role }) => [address, role])).toEqual([
        [whereIs(cluster.primary), 'replaced'],
        [whereIs(heir), 'primary'],
        [whereIs(other), 'replica'],
      ])
    } finally {
      traces.unsubscribe(tracer as Parameters<typeof traces.unsubscribe>[0])
    }
  })
})

describe('split brain: a standby is promoted beside a primary that is alive', () => {
  const bench = useCluster(setup)

  test('as soon as that is seen, nothing is written to the old one, and what led there ends', async () => {
    const { cluster, database } = bench()
    const [heir, other] = cluster.replicas as [ServerNode, ServerNode]
    const pool = poolOn(bench(), [cluster.primary, heir, other])
    await pool.query('insert into entry values (1)')
    await cluster.waitForReplicas()
    const held = await pool.acquire()
    await heir.promote()
    let id = 1
    const failover = new Promise<void>((resolve) => pool.on('failover', () => resolve()))
    const writing = (async () => {
      while (pool.stats().servers[1]?.role !== 'primary') {
        id += 1
        // One that is under way when its connection is torn down does not learn what became of it.
        const failed = await pool.query('insert into entry values ($1)', [id]).catch((error: { code: string }) => error)
        if ('code' in failed) expect(failed.code).toBe('LIFEGUARD_CONNECTION_LOST')
      }
    })()
    await Promise.all([failover, writing])
    expect((await rejection(held.query('insert into entry values (2000000)'))).code).toBe('LIFEGUARD_CONNECTION_LOST')
    held.release()
    await pool.query('insert into entry values (1000000)')
    expect(await onServer(database.url, 'select id from entry where id >= 1000000')).toEqual([])
    expect(await onServer(database.urlOn(heir), 'select id from entry where id >= 1000000')).toEqual([
      { id: 1_000_000 },
    ])
  })
})

describe('the others of several hosts', () => {
  const bench = useCluster(setup)

  test('are read from inside of read(), and nowhere else', async () => {
    const { cluster } = bench()
    const pool = poolOn(bench(), [...cluster.replicas, cluster.primary])
    const queries: QueryEvent[] = []
    pool.on('query', (event) => queries.push(event))
    await pool.query('select 1')
    await pool.read(() => pool.query('select 2'))
    expect(queries).toMatchObject([
      { address: whereIs(cluster.primary), role: 'primary', text: 'select 1' },
      { role: 'replica', why: 'fresh', text: 'select 2' },
    ])
    expect(cluster.replicas.map(whereIs)).toContain(queries[1]?.address)
  })

  test('a primary whose sessions are read-only is none for read-write, and the error says so', async () => {
    const { cluster } = bench()
    const pool = poolOn(bench(), [cluster.primary, ...cluster.replicas], {
      settings: { default_transaction_read_only: true },
      acquireTimeoutMs: 2_000,
      failoverTimeoutMs: 2_000,
    })
    const error = await rejection(pool.query('insert into entry values (1)'))
    expect(error.code).toBe('LIFEGUARD_SERVER_UNAVAILABLE')
    expect(error.message).toContain(`${whereIs(cluster.primary)} is read-only (primary), and read-write is wanted`)
  })

  test('the breaker of each host is told of, with the reason and the time', async () => {
    const { cluster, database } = bench()
    await onServer(database.url, 'create function slow() returns void language sql as $$ select pg_sleep(0.03) $$')
    await cluster.waitForReplicas()
    // However late on a busy machine: the first to open does not try again before the second has opened and both have
    // been looked at, and no read goes to the primary for the lag.
    const breaker = { slowAfterMs: 10, minCalls: 3, openMs: 60_000, maxOpenMs: 60_000 }
    const pool = poolOn(bench(), [cluster.primary, ...cluster.replicas], {
      breaker,
      readFunctions: ['slow'],
      maxLagMs: 20_000,
    })
    await pool.read(() => pool.query('select 1'))
    const states = () => pool.stats().servers.map(({ breaker }) => breaker?.state)
    expect(states()).toEqual(['closed', 'closed', 'closed'])
    await eventually('the breakers of both replicas open', async () => {
      await pool.read(() => pool.query('select slow()'))
      return states().join() === 'closed,open,open'
    })
    for (const host of pool.stats().servers.slice(1)) {
      expect(host.breaker).toMatchObject({ state: 'open', reason: 'slow-rate', opened: 1 })
      expect(host.breaker?.sinceMs).toBeGreaterThan(0)
      expect(host.breaker?.retryAfterMs).toBeGreaterThan(0)
    }
    const { status, servers } = await pool.health()
    expect([status, servers.map((server) => [server.address, server.status, server.breaker?.state])]).toEqual([
      'degraded',
      [
        [whereIs(cluster.primary), 'up', 'closed'],
        ...cluster.replicas.map((server) => [whereIs(server), 'up', 'open']),
      ],
    ])
  })
})
