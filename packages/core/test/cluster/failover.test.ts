import type { ServerNode } from '@pg-lifeguard/testing'
import { beforeEach, describe, expect, test } from 'vitest'
import type { FailoverEvent } from '../../src/index.js'
import { type ClusterBench, onServer, useCluster } from '../support/test-cluster.js'
import { eventually, rejection } from '../support/test-pool.js'

const setup = 'create table entry (id int primary key); create table applied (id int)'

/** The second replica follows the promoted first one. */
async function follow(bench: ClusterBench, server: ServerNode, primary: ServerNode): Promise<void> {
  const conninfo = `host=127.0.0.1 port=${primary.port} user=postgres password=${new URL(primary.url).password} application_name=${server.name}`
  await onServer(server.url, `alter system set primary_conninfo = '${conninfo}'`)
  await onServer(server.url, 'select pg_reload_conf()')
  await eventually('it streams from the new primary', async () => {
    const rows = await onServer<{ n: number }>(
      bench.database.urlOn(primary),
      `select count(*)::int as n from pg_stat_replication where application_name = '${server.name}'`,
    )
    return rows[0]?.n === 1
  })
}

function two([first, second]: readonly ServerNode[]): [ServerNode, ServerNode] {
  if (first === undefined || second === undefined) throw new Error('bug: two replicas were asked for')
  return [first, second]
}

describe('the primary is killed and a replica promoted', () => {
  // The heir has all that was answered: without that, some of it is lost with the primary, whatever a pool does.
  const bench = useCluster(setup, {
    settings: { synchronous_standby_names: '"replica-1"' },
    replicaSettings: { synchronous_standby_names: '' },
  })

  test('reads go on, writes wait and are applied once, and the old primary is never written to again', async () => {
    const { cluster, database } = bench()
    const [heir, other] = two(cluster.replicas)
    const pool = bench().pool({ maxLagMs: 2_000, max: 10 })
    const failovers: FailoverEvent[] = []
    pool.on('failover', (event) => failovers.push(event))
    const lost: string[] = []
    pool.on('primary-lost', ({ address }) => lost.push(address))
    await pool.read(() => pool.query('select count(*) from entry'))

    let over = false
    const failures: string[] = []
    const reading = async (): Promise<number> => {
      let reads = 0
      while (!over) {
        await pool
          .read(() => pool.query('select count(*) from entry'))
          .then(
            () => (reads += 1),
            (error: Error) => failures.push(`read: ${error.message}`),
          )
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
      return reads
    }
    let id = 0
    const told = new Map<number, string>()
    const writing = async (): Promise<void> => {
      while (!over) {
        const mine = ++id
        // No key on it: a second application would be seen.
        await pool.query('insert into applied values ($1)', [mine]).then(
          () => told.set(mine, 'written'),
          (error: Error & { code?: string }) => told.set(mine, error.code ?? error.message),
        )
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
    }
    const all = Promise.all([reading(), reading(), writing(), writing(), writing()])
    await eventually('writes go', () => told.size > 20)
    await cluster.primary.kill()
    await eventually('the loss is noticed', () => lost.length > 0)
    // A write that begins now waits.
    const patient = pool.query('insert into entry values (1)')
    await new Promise((resolve) => setTimeout(resolve, 500))
    await heir.promote()
    const promotedAt = performance.now()
    await patient
    const waited = performance.now() - promotedAt
    const before = told.size
    await eventually('writes go again', () => told.size > before + 20)
    over = true
    const [first, second] = await all
    expect(failures).toEqual([])
    expect(first + second).toBeGreaterThan(50)
    expect(failovers).toEqual([
      { from: `127.0.0.1:${cluster.primary.port}`, to: `127.0.0.1:${heir.port}`, timeline: 2 },
    ])
    console.info(`first write ${Math.round(waited)} ms after the promotion`)

    const rows = await onServer<{ id: number; n: number }>(
      database.urlOn(heir),
      'select id, count(*)::int as n from applied group by id',
    )
    const applied = new Map(rows.map((row) => [row.id, row.n]))
    expect(rows.filter(({ n }) => n > 1)).toEqual([])
    for (const [written, what] of told) if (what === 'written') expect(applied.get(written), `${written}`).toBe(1)
    // What failed was under way when the primary died.
    for (const what of [...told.values()].filter((each) => each !== 'written')) {
      expect(what).toMatch(/LIFEGUARD_CONNECTION_LOST|57P0|ECONN/)
    }

    // The old primary comes back and believes in itself.
    await cluster.primary.start()
    // Servers are looked at while there are reads; a look may come too early, or fail on a busy machine.
    await eventually('it is seen', async () => {
      await pool.read(() => pool.query('select count(*) from entry'))
      return pool.stats().servers[0]?.timeline === 1
    })
    for (let n = 100; n < 120; n += 1) await pool.query('insert into entry values ($1)', [n])
    expect(await onServer(database.url, 'select id from entry where id >= 100')).toEqual([])
    expect(await onServer(database.urlOn(heir), 'select id from entry where id >= 100')).toHaveLength(20)
    expect(pool.stats().servers.map(({ role }) => role)).toEqual(['replaced', 'primary', 'replica'])
    const health = await pool.health()
    expect(health.status).toBe('degraded')
    expect(health.servers.map(({ role, status }) => [role, status])).toEqual([
      ['primary', 'up'],
      ['replaced', 'up'],
      ['replica', 'up'],
    ])

    // A replica that follows the new primary is read from again.
    await follow(bench(), other, heir)
    await eventually('reads go to the replica', async () => {
      await pool.read(() => pool.query('select count(*) from entry'))
      return pool.stats().servers[2]?.role === 'replica' && (pool.stats().servers[2]?.lagMs ?? 1e9) < 1_000
    })
    // A pool that begins now, and is told of the old primary first, finds the new one.
    const fresh = bench().pool()
    await fresh.query('insert into entry values (200)')
    expect(await onServer(database.urlOn(heir), 'select id from entry where id = 200')).toHaveLength(1)
  })
})

describe('a transaction', () => {
  const bench = useCluster(setup)

  test('whose primary dies is run again on the new one, and one that is refused there finds its way', async () => {
    const { cluster, database } = bench()
    const [heir] = two(cluster.replicas)
    const pool = bench().pool()
    let runs = 0
    const result = pool.withTransaction(async (tx) => {
      runs += 1
      await tx.query('insert into entry values (1)')
      if (runs === 1) {
        await cluster.primary.kill()
        await heir.promote()
      }
      return (await tx.query('select count(*)::int as n from entry')).rows
    })
    expect(await result).toEqual([{ n: 1 }])
    expect(runs).toBe(2)
    expect(await onServer(database.urlOn(heir), 'select id from entry')).toEqual([{ id: 1 }])
  })
})

describe('a replica', () => {
  const bench = useCluster(setup)
  beforeEach(async () => {
    for (const server of bench().cluster.replicas) if (!server.running) await server.start()
  })

  test('that is killed is left, and taken back when it is there again', async () => {
    const { cluster } = bench()
    const [victim] = two(cluster.replicas)
    const pool = bench().pool({ maxLagMs: 5_000 })
    let over = false
    const failures: string[] = []
    const reading = async (): Promise<void> => {
      while (!over) {
        await pool
          .read(() => pool.query('select count(*) from entry'))
          .catch((error: Error) => failures.push(error.message))
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
    }
    const all = Promise.all(Array.from({ length: 8 }, reading))
    const figures = () => pool.stats().servers[1]
    await eventually('it is read from', () => (figures()?.reads ?? 0) > 20)
    await victim.kill()
    await eventually('it is known to be away', () => figures()?.lastError !== undefined)
    const reads = figures()?.reads ?? 0
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect((figures()?.reads ?? 0) - reads).toBeLessThan(10)
    await victim.start()
    await eventually('it is read from again', () => (figures()?.reads ?? 0) > reads + 50)
    over = true
    await all
    expect(failures).toEqual([])
  })

  test('without any, and without the primary, an error says what is wrong with each host', async () => {
    const { cluster } = bench()
    const pool = bench().pool({ acquireTimeoutMs: 300, failoverTimeoutMs: 600 })
    await cluster.primary.kill()
    try {
      const error = await rejection(pool.query('insert into entry values (5)'))
      expect(error.code).toBe('LIFEGUARD_SERVER_UNAVAILABLE')
      const cause = error.cause as Error & { code: string }
      expect(cause.code).toBe('LIFEGUARD_NO_PRIMARY')
      expect(cause.message).toContain('it follows another server')
      // A caller's own bound is tighter.
      expect((await rejection(pool.query('insert into entry values (5)', [], { timeoutMs: 50 }))).code).toBe(
        'LIFEGUARD_TIMEOUT',
      )
    } finally {
      await cluster.primary.start()
    }
    await pool.query('insert into entry values (6)')
  })
})

describe('a setting that makes a session read-only', () => {
  const bench = useCluster(setup)

  test('is no failover: the error comes at once', async () => {
    const pool = bench().pool({ settings: { default_transaction_read_only: true } })
    const error = await rejection(pool.query('insert into entry values (1)'))
    expect(error.code).toBe('25006')
    const failed = await rejection(pool.withTransaction((tx) => tx.query('insert into entry values (1)')))
    expect(failed.code).toBe('25006')
  })
})
