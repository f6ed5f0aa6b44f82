import { type Cluster, type ServerNode, ServerOperationError, startCluster } from '@pg-lifeguard/testing'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

/** A session that the test is going to lose. */
async function connected(url: string): Promise<pg.Client> {
  const client = new pg.Client(url)
  client.on('error', () => undefined)
  await client.connect()
  return client
}

describe('a primary with two replicas', () => {
  let cluster: Cluster
  let replica: ServerNode

  beforeAll(async () => {
    cluster = await startCluster({ replicas: 2, settings: { deadlock_timeout: '123ms' } })
    const [first] = cluster.replicas
    if (first === undefined) throw new Error('bug: no replica')
    replica = first
    await query(cluster.url, 'create table item (id int primary key)')
  })

  afterAll(() => cluster?.stop())

  test('streams: what is written on the primary shows on the replicas, which take no writes', async () => {
    expect(
      await query(cluster.url, 'select application_name as name, state from pg_stat_replication order by 1'),
    ).toEqual([
      { name: 'replica-1', state: 'streaming' },
      { name: 'replica-2', state: 'streaming' },
    ])
    await query(cluster.url, 'insert into item values (1)')
    await cluster.waitForReplicas()
    for (const { url } of cluster.replicas) expect(await query(url, 'select id from item')).toEqual([{ id: 1 }])
    await expect(query(replica.url, 'insert into item values (2)')).rejects.toMatchObject({ code: '25006' })
  })

  test('settings are the defaults, with what was asked for on top', async () => {
    const sql = `select name, setting from pg_settings where name in ('deadlock_timeout', 'fsync', 'synchronous_commit') order by 1`
    for (const { url } of [cluster.primary, replica]) {
      expect(await query(url, sql)).toEqual([
        { name: 'deadlock_timeout', setting: '123' },
        { name: 'fsync', setting: 'off' },
        { name: 'synchronous_commit', setting: 'on' },
      ])
    }
  })

  test('asks for the password', async () => {
    const url = new URL(cluster.url)
    url.password = 'wrong'
    await expect(query(url.href, 'select 1')).rejects.toMatchObject({ code: '28P01' })
  })

  test('pauseReplay() freezes what a replica shows, resumeReplay() lets it catch up', async () => {
    await replica.pauseReplay()
    await query(cluster.url, 'insert into item values (10)')
    await expect(cluster.waitForReplicas({ timeoutMs: 50 })).rejects.toThrow(/replica-1 has not replayed .* paused/)
    expect(await query(replica.url, 'select id from item where id = 10')).toEqual([])
    await replica.resumeReplay()
    await cluster.waitForReplicas()
    expect(await query(replica.url, 'select id from item where id = 10')).toEqual([{ id: 10 }])
  })

  test('kill() ends sessions without a word, and the server recovers with what was committed', async () => {
    const client = await connected(cluster.url)
    await client.query('insert into item values (20)')
    const end = new Promise((resolve) => client.once('end', resolve))
    const sleeping = expect(client.query('select pg_sleep(60)')).rejects.toThrow(/terminated unexpectedly|ECONNRESET/)
    await cluster.primary.kill()
    await Promise.all([sleeping, end])
    expect(cluster.primary).toMatchObject({ running: false, pid: undefined })
    await expect(cluster.primary.kill()).rejects.toThrow('primary is not running')
    await expect(query(cluster.primary.url, 'select 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' })

    await cluster.primary.start()

    expect(cluster.primary.running).toBe(true)
    expect(await query(cluster.url, 'select id from item where id = 20')).toEqual([{ id: 20 }])
    await cluster.waitForReplicas()
    await expect(cluster.primary.start()).rejects.toThrow(ServerOperationError)
  })

  test('stop in mode fast ends sessions with 57P01', async () => {
    const client = await connected(cluster.url)
    const cut = expect(client.query('select pg_sleep(60)')).rejects.toMatchObject({ code: '57P01' })
    await cluster.primary.restart()
    await cut
    expect(await query(cluster.url, 'select 1 as one')).toEqual([{ one: 1 }])
  })

  test('stop in mode immediate drops sessions with a warning at most', async () => {
    const client = await connected(cluster.url)
    const cut = expect(client.query('select pg_sleep(60)')).rejects.toThrow(/terminated unexpectedly|ECONNRESET/)
    await cluster.primary.restart({ mode: 'immediate' })
    await cut
    expect((await cluster.primary.log()).join('\n')).toContain('database system was not properly shut down')
  })

  test('stop in mode smart waits for sessions, and can be made stricter', async () => {
    const client = await connected(replica.url)
    await expect(replica.stop({ mode: 'smart', timeoutMs: 50 })).rejects.toThrow(/smart shutdown .* within 50 ms/)
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await replica.stop({ mode: 'fast' })
    expect(replica.running).toBe(false)
    await replica.stop()
    await replica.start()
    await cluster.waitForReplicas()
  })

  test('a primary cannot be promoted, paused or resumed', async () => {
    await expect(cluster.primary.promote()).rejects.toThrow('primary is a primary, it cannot be promoted')
    await expect(cluster.primary.pauseReplay()).rejects.toThrow('it cannot be paused')
    await expect(cluster.primary.resumeReplay()).rejects.toThrow('it cannot be resumed')
  })

  test('log() gives the last lines of a server', async () => {
    expect((await cluster.primary.log()).join('\n')).toMatch(/database system is ready to accept connections/)
  })

  // The last one: the cluster is another one afterwards.
  test('promote() makes a replica take writes, and the cluster goes on with it', async () => {
    await using database = await cluster.createDatabase()
    await cluster.primary.kill()
    await replica.promote()
    expect(replica.role).toBe('primary')
    expect(cluster.url).toBe(replica.url)
    await query(database.urlOn(replica), 'create table written (id int)')
    await query(replica.url, 'insert into item values (30)')
  })
})
