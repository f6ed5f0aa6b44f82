import { createServer, type Server } from 'node:net'
import { type Cluster, startCluster } from '@pg-lifeguard/testing'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { NoPrimaryError, ServerUnavailableError } from '../../src/errors/pool-errors.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

let cluster: Cluster
let standby: number
let primary: number
let credentials: string
/** Takes connections and never says a word. */
let hole: Server
let silent: number
/** Nobody listens there. */
let closed: number

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

beforeAll(async () => {
  cluster = await startCluster({ replicas: 1 })
  primary = cluster.primary.port
  standby = cluster.replicas[0]?.port ?? 0
  credentials = new URL(cluster.primary.url).password
  hole = createServer((socket) => socket.on('error', () => undefined).resume())
  silent = await listen(hole)
  const gone = createServer()
  closed = await listen(gone)
  await new Promise((resolve) => gone.close(resolve))
})

afterAll(async () => {
  await cluster.stop()
  await new Promise((resolve) => hole.close(resolve))
})

function url(ports: readonly number[], query = ''): string {
  const hosts = ports.map((port) => `127.0.0.1:${port}`).join(',')
  return `postgres://postgres:${credentials}@${hosts}/postgres${query}`
}

async function portOf(connectionString: string, options: Parameters<typeof testPool>[1] = {}): Promise<number> {
  const pool = testPool(connectionString, { max: 1, ...options })
  const { rows } = await pool.query<{ port: string }>("select current_setting('port') as port")
  return Number(rows[0]?.port)
}

test.each([
  ['any', () => [standby, primary], () => standby],
  ['read-write', () => [standby, primary], () => primary],
  ['primary', () => [standby, primary], () => primary],
  ['read-only', () => [primary, standby], () => standby],
  ['standby', () => [primary, standby], () => standby],
  ['prefer-standby', () => [primary, standby], () => standby],
  ['prefer-standby', () => [closed, primary], () => primary],
])('target_session_attrs=%s finds the one that fits', async (wanted, hosts, expected) => {
  expect(await portOf(url(hosts(), `?target_session_attrs=${wanted}`))).toBe(expected())
})

test('hosts and ports can be fields too', async () => {
  const options = { user: 'postgres', password: credentials, database: 'postgres' }
  const pool = testPool('postgres://', { ...options, host: ['127.0.0.1', '127.0.0.1'], port: [closed, primary] })
  expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
})

test('a host that is dead, or silent for ever, does not stand in the way', async () => {
  const patient = { connectTimeoutMs: 600_000, acquireTimeoutMs: 30_000 }
  expect(await portOf(url([closed, primary]), patient)).toBe(primary)
  expect(await portOf(url([silent, primary]), patient)).toBe(primary)
  expect(await portOf(url([silent, closed, standby, primary], '?target_session_attrs=primary'), patient)).toBe(primary)
  await eventually('what lost is torn down, long before its time to connect', async () => {
    const open = await new Promise<number>((resolve) => hole.getConnections((_, count) => resolve(count)))
    return open === 0
  })
})

test('load_balance_hosts=random uses them all', async () => {
  const pool = testPool(url([standby, primary], '?load_balance_hosts=random&pool_max=16'), { max: 16 })
  const seen = new Set<unknown>()
  await eventually('both hosts have been used', async () => {
    const connections = await Promise.all(Array.from({ length: 16 }, () => pool.acquire()))
    for (const connection of connections) {
      seen.add((await connection.query("select current_setting('port') as port")).rows[0]?.['port'])
      connection.release()
    }
    await pool.end()
    return seen.size === 2
  })
})

test('what no host can give is told for each of them', async () => {
  const pool = testPool(url([primary, closed], '?target_session_attrs=standby'), { acquireTimeoutMs: 2_000 })
  const error = await rejection(pool.query('select 1'))
  expect(error).toBeInstanceOf(ServerUnavailableError)
  expect(error.message).toContain(`127.0.0.1:${primary} is a primary, and standby is wanted`)
  expect(error.message).toContain(`127.0.0.1:${closed} failed: connect ECONNREFUSED`)
  expect(error.cause).toBeInstanceOf(AggregateError)
  expect((error.cause as AggregateError).errors).toHaveLength(2)
  // Where the writer is wanted it is waited for, as it may be promoted meanwhile.
  const patience = { acquireTimeoutMs: 100, failoverTimeoutMs: 300 }
  const writing = testPool(url([standby, closed], '?target_session_attrs=read-write'), patience)
  const none = await rejection(writing.query('select 1'))
  expect(none).toBeInstanceOf(ServerUnavailableError)
  expect(none.cause).toBeInstanceOf(NoPrimaryError)
  expect((none.cause as NoPrimaryError).servers).toEqual([
    { address: `127.0.0.1:${standby}`, why: 'it follows another server' },
    { address: `127.0.0.1:${closed}`, why: `connect ECONNREFUSED 127.0.0.1:${closed}` },
  ])
})

test('a password that all hosts refuse is told at once, and nobody waits for his deadline', async () => {
  const wrong = url([primary, standby]).replace(credentials, 'wrong-password')
  const error = await rejection(testPool(wrong, { acquireTimeoutMs: 600_000 }).query('select 1'))
  expect(error).toBeInstanceOf(AggregateError)
  expect((error as AggregateError).errors.map((one: { code?: string }) => one.code)).toEqual(['28P01', '28P01'])
  expect(error.message).not.toContain('wrong-password')
})

test('a cancel goes to the host that runs the statement', async () => {
  const pool = testPool(url([closed, primary]), { max: 1 })
  await pool.query('select 1')
  const error = await rejection(pool.query('select pg_sleep(60) -- on one of two', [], { timeoutMs: 100 }))
  expect(error.code).toBe('LIFEGUARD_TIMEOUT')
  await eventually('nothing runs any more', async () => {
    const { rows } = await pool.query(
      "select 1 from pg_stat_activity where query like '%on one of two%' and pid <> pg_backend_pid() and state = 'active'",
    )
    return rows.length === 0
  })
})

test('when the writer moves, the pool follows it', async () => {
  const writing = testPool(url([primary, standby], '?target_session_attrs=read-write'), { acquireTimeoutMs: 30_000 })
  const following = testPool(url([primary, standby], '?target_session_attrs=standby'), {
    max: 1,
    acquireTimeoutMs: 3_000,
  })
  await writing.query('create table moved (id int)')
  expect((await following.query('select pg_is_in_recovery() as standby')).rows).toEqual([{ standby: true }])
  await cluster.waitForReplicas()
  await cluster.primary.kill()
  await cluster.replicas[0]?.promote()
  await eventually('the writer is found', async () => {
    try {
      await writing.query('insert into moved values (1)')
      return true
    } catch {
      return false // a statement under way when its server was killed
    }
  })
  // The first answer after the promotion brings the news; then the connection is of no use to this pool.
  const news = await eventually('the standby is none any more', async () => {
    try {
      await following.query('select 1')
      return undefined
    } catch (error) {
      return error as Error
    }
  })
  expect(news.message).toContain('is a primary, and standby is wanted')
})
