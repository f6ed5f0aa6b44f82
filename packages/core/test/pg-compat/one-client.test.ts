import { once } from 'node:events'
import { startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { killSessions } from '../support/kill-sessions.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase()

describe('a client is one object for each connection', () => {
  test('over all the times that it is handed out, with what programs keep on it', async () => {
    const pool = testPool(database.url, { max: 1 })
    const pgPool = pool.asPgPool()
    const seen: unknown[] = []
    for (const event of ['connect', 'acquire', 'release'] as const)
      pgPool.on(event, (...args: unknown[]) => seen.push(event, args.at(-1)))
    const first = await pgPool.connect()
    const kept = first as unknown as { isSetUp?: boolean }
    kept.isSetUp = true
    first.release()
    const second = await pgPool.connect()
    expect(second).toBe(first)
    expect(kept.isSetUp).toBe(true)
    expect(second.constructor.name).toBe('Client')
    expect(pgPool.constructor.name).toBe('BoundPool')
    second.release()
    expect(seen).toEqual(['connect', first, 'acquire', first, 'release', first, 'acquire', first, 'release', first])
    // Of a query, of an ORM, of a helper.
    seen.length = 0
    await pgPool.query('select 1')
    await pool.query('select 1')
    await pool.withTransaction((tx) => tx.query('select 1'))
    expect(seen).toEqual(Array.from({ length: 3 }, () => ['acquire', first, 'release', first]).flat())
  })

  test('a release function is good for one time, and a client is refused while nobody has it', async () => {
    const pgPool = testPool(database.url, { max: 1 }).asPgPool()
    const client = await pgPool.connect()
    const { release } = client
    client.release()
    expect(() => release()).toThrow('already been released')
    expect(() => client.release()).toThrow('already been released')
    expect((await rejection(client.query('select 1'))).code).toBe('LIFEGUARD_CONNECTION_RELEASED')
    const again = await pgPool.connect()
    expect(() => release()).toThrow('already been released')
    expect((await again.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    again.release()
  })

  test('who gave it back without knowing it keeps his own: the next one is not his', async () => {
    const pool = testPool(database.url, { max: 1 })
    const pgPool = pool.asPgPool()
    const mine = await pgPool.connect()
    await rejection(mine.query('begin isolation level nonsense'))
    const another = await pgPool.connect()
    expect(another).not.toBe(mine)
    await another.query('begin')
    await another.query('create table made_by_another ()')
    await mine.query('rollback')
    mine.release()
    expect(another.getTransactionStatus()).toBe('T')
    await another.query('commit')
    another.release()
    expect((await pgPool.query("select to_regclass('made_by_another') is not null as there")).rows).toEqual([
      { there: true },
    ])
  })

  test('who prepares a new connection may ask it more than once, while others have it', async () => {
    const pgPool = testPool(database.url, { max: 1 }).asPgPool()
    const prepared = Promise.withResolvers<unknown>()
    pgPool.on('connect', async (client) => {
      await client.query("set application_name = 'prepared'")
      await client.query('select pg_sleep(0.01)')
      const { rows } = await client.query('show application_name')
      prepared.resolve(rows[0])
    })
    await pgPool.query('select 1')
    expect(await prepared.promise).toEqual({ application_name: 'prepared' })
  })

  test("'drain' comes once, after the last query; a query that succeeds calls back with undefined", async () => {
    const pgPool = testPool(database.url).asPgPool()
    const client = await pgPool.connect()
    const order: string[] = []
    client.on('drain', () => order.push('drain'))
    const drained = once(client, 'drain')
    for (const n of [1, 2, 3]) void client.query('select 1').then(() => order.push(`query ${n}`))
    await drained
    expect(order).toEqual(['query 1', 'query 2', 'query 3', 'drain'])
    client.release()
    expect(await new Promise((resolve) => pgPool.query('select 1', (error) => resolve(error)))).toBeUndefined()
  })

  test('what is on its way out is counted no more', async () => {
    const pgPool = testPool(database.url, { max: 2 }).asPgPool()
    const errors: unknown[] = []
    pgPool.on('error', (error) => errors.push(error))
    const client = await pgPool.connect()
    const removed = new Promise((resolve) => pgPool.on('remove', (gone) => resolve([gone, pgPool.totalCount])))
    client.release(true)
    expect(pgPool.totalCount).toBe(0)
    expect(await removed).toEqual([client, 0])
    expect(errors).toEqual([])
  })

  test("an error that is reported on an idle client ends its connection, and is the pool's", async () => {
    const pgPool = testPool(database.url, { max: 1 }).asPgPool()
    const client = await pgPool.connect()
    client.release()
    const told = once(pgPool, 'error')
    client.emit('error', new Error('on purpose'))
    const [error, whose] = await told
    expect(error).toMatchObject({ message: 'on purpose' })
    expect(error.client).toBe(client)
    expect(whose).toBe(client)
    expect([pgPool.totalCount, pgPool.idleCount]).toEqual([0, 0])
    expect((await pgPool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })
})

describe('a listener that throws', () => {
  const warnings: Error[] = []
  const warned = (warning: Error): number => warnings.push(warning)
  beforeEach(() => {
    warnings.length = 0
    process.on('warning', warned)
  })
  afterEach(() => void process.off('warning', warned))

  test.each(['connect', 'acquire', 'release', 'remove'] as const)(
    "of '%s' costs neither a session nor a place",
    async (event) => {
      const pool = testPool(database.url, { max: 2, applicationName: `throws-${event}`, acquireTimeoutMs: 5_000 })
      const pgPool = pool.asPgPool()
      let others = 0
      pgPool.on(event, () => {
        throw new Error(`a bug in ${event}`)
      })
      pgPool.on(event, async () => {
        throw new Error(`another bug in ${event}`)
      })
      pgPool.on(event, () => others++)
      for (let time = 0; time < 2; time++) {
        const client = await pgPool.connect()
        expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
        client.release(time % 2 === 0)
        await pgPool.query('select 1')
        await pool.withTransaction((tx) => tx.query('select 1'))
      }
      await eventually('the sessions are those of the pool', async () => {
        const admin = testPool(database.url)
        const { rows } = await admin.query<{ n: number }>(
          'select count(*)::int as n from pg_stat_activity where application_name = $1',
          [`throws-${event}`],
        )
        await admin.end()
        return rows[0]?.n === pgPool.totalCount
      })
      expect(pgPool.totalCount).toBeLessThanOrEqual(2)
      expect(pool.stats().pool.active).toBe(0)
      expect(others).toBeGreaterThan(0)
      await eventually('both are warnings', () => warnings.length >= 2)
      expect(warnings.map(String).join()).toContain(`a bug in ${event}`)
      expect(warnings.map(String).join()).toContain(`another bug in ${event}`)
    },
  )

  test('of a client costs neither its session nor its work, whether it throws or rejects', async () => {
    const pool = testPool(database.url, { max: 1 })
    const pgPool = pool.asPgPool()
    const client = await pgPool.connect()
    const { processID } = client as unknown as { processID: number }
    const heard = new Set<string>()
    const names = ['notification', 'notice', 'drain', 'error', 'end']
    for (const name of names) {
      client.on(name as 'notice', () => {
        heard.add(name)
        throw new Error(`a bug in ${name}`)
      })
      client.on(name as 'notice', async () => {
        throw new Error(`another bug in ${name}`)
      })
    }
    await client.query('listen news')
    await client.query("do $$ begin raise notice 'a notice'; perform pg_notify('news', ''); end $$")
    await eventually('it has heard', () => heard.size === 3)
    expect((await client.query('select pg_backend_pid() as pid')).rows).toEqual([{ pid: processID }])
    await killSessions(database.url, pool)
    await eventually('it is over', () => heard.size === names.length)
    client.release()
    expect((await pgPool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    const said = (): string => warnings.map(String).join()
    for (const name of names) {
      await eventually(`both of ${name} are warnings`, () => said().includes(`another bug in ${name}`))
      expect(said()).toContain(`: a bug in ${name}`)
    }
  })

  test("of 'error' neither", async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const pgPool = testPool(proxy.url, { max: 1 }).asPgPool()
    pgPool.on('error', () => {
      throw new Error('a bug in error')
    })
    pgPool.on('error', async () => {
      throw new Error('another bug in error')
    })
    await pgPool.query('select 1')
    await proxy.cut()
    await eventually('both are warnings', () => warnings.length > 1)
    expect((await pgPool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })
})

test('an error that is reported on an idle client is reported once, as it is', async () => {
  const pgPool = testPool(database.url, { max: 1 }).asPgPool()
  const client = await pgPool.connect()
  client.release()
  const seen: string[] = []
  client.on('error', ({ message }) => seen.push(`client: ${message}`))
  pgPool.on('error', ({ message }) => seen.push(`pool: ${message}`))
  const removed = new Promise((resolve) => pgPool.once('remove', resolve))
  client.emit('error', new Error('on purpose'))
  await removed
  expect(seen.sort()).toEqual(['client: on purpose', 'pool: on purpose'])
})

test('a client has no listeners but those of its users; a loss that nobody listens to ends no process', async () => {
  const pool = testPool(database.url, { max: 1 })
  const pgPool = pool.asPgPool()
  // Programs that look whether a pool has these warn of one without.
  expect([pgPool.listenerCount('error'), pgPool.listenerCount('connect')]).toEqual([1, 1])
  const client = await pgPool.connect()
  expect(client.listenerCount('error')).toBe(0)
  const lost = new Promise((resolve) => client.once('error', resolve))
  expect(client.listenerCount('error')).toBe(1)
  await killSessions(database.url, pool)
  expect(await lost).toMatchObject({ code: '57P01' })
  client.release()

  // Of what opens again, the pool hears whatever listeners a program has taken off.
  const next = await pgPool.connect()
  next.removeAllListeners()
  next.release()
  const told = new Promise((resolve) => pgPool.once('error', (_, whose) => resolve(whose)))
  await killSessions(database.url, pool)
  expect(await told).toBe(next)

  await pool.withTransaction(async () => {
    const joined = await pgPool.connect()
    expect(joined.listenerCount('error')).toBe(0)
    expect(joined.emit('error', new Error('on purpose'))).toBe(false)
    joined.release()
  })
})

/** No read, which would be run again elsewhere. */
const sleeps = 'do $$ begin perform pg_sleep(60); end $$'

test('end() of a client breaks off what runs, and is no error; the pool goes on', async () => {
  const pool = testPool(database.url, { max: 1 })
  const pgPool = pool.asPgPool()
  const errors: unknown[] = []
  pgPool.on('error', (error) => errors.push(error))
  const open = (): { end(): Promise<void> }[] =>
    (pgPool as unknown as { readonly _clients: { end(): Promise<void> }[] })._clients
  expect(open()).toEqual([])

  const running = rejection(pgPool.query(sleeps))
  await eventually('it runs', () => pool.stats().pool.active === 1 && open().length === 1)
  await open()[0]?.end()
  expect((await running).code).toBe('LIFEGUARD_CONNECTION_LOST')

  const client = await pgPool.connect()
  expect(open()).toEqual([client])
  client.on('error', (error) => errors.push(error))
  const lost = rejection(client.query('select pg_sleep(60)'))
  await (client as unknown as { end(): Promise<void> }).end()
  expect((await lost).code).toBe('LIFEGUARD_CONNECTION_LOST')
  client.release()
  await eventually('it is gone', () => open().length === 0)
  expect((await pgPool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  expect(errors).toEqual([])
})

test("a statement that loses its connection has the error for itself: 'error' of the pool is for idle ones", async () => {
  const pool = testPool(database.url, { max: 1 })
  const pgPool = pool.asPgPool()
  const errors: unknown[] = []
  pgPool.on('error', (error) => errors.push(error))
  const removed = new Promise((resolve) => pgPool.once('remove', resolve))
  const running = rejection(pgPool.query(sleeps))
  await eventually('it runs', () => pool.stats().pool.active === 1)
  await killSessions(database.url, pool)
  expect((await running).code).toBe('57P01')
  await removed
  expect(errors).toEqual([])
  // Nor of a client that is given back as soon as it has its error: by then its session has ended.
  const client = await pgPool.connect()
  const seen: unknown[] = []
  client.on('error', (error: Error & { readonly code?: string }) => seen.push(error.code))
  client.on('end', () => seen.push('end'))
  const asked = rejection(client.query(sleeps)).finally(() => client.release())
  await eventually('it runs', () => pool.stats().pool.active === 1)
  await killSessions(database.url, pool)
  expect((await asked).code).toBe('57P01')
  expect(seen).toEqual(['57P01', 'end'])
  expect((await pgPool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  expect(errors).toEqual([])
  // Of an idle one it is the pool's.
  await pgPool.query('select 1')
  await killSessions(database.url, pool)
  await eventually('it is reported', () => errors.length === 1)
})
