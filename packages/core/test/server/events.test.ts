import { subscribe, tracingChannel, unsubscribe } from 'node:diagnostics_channel'
import { type FaultProxy, startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { expect, test } from 'vitest'
import type { Pool, PoolEvents, QueryTrace } from '../../src/index.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table customer (email text primary key, age int)' })

const names: readonly (keyof PoolEvents)[] = [
  'acquire',
  'release',
  'connect',
  'connect-failed',
  'close',
  'query',
  'slow-query',
  'shed',
  'turned-away',
  'timeout',
  'leak',
  'leak-returned',
  'error',
  'breaker',
  'retry',
  'ambiguous-commit',
  'hook-error',
  'cache-error',
]

interface Heard {
  readonly of: string
  readonly [field: string]: unknown
}

/** Everything that a pool tells, in order. */
function listen(pool: Pool): Heard[] {
  const heard: Heard[] = []
  for (const name of names) pool.on(name, (event) => heard.push({ ...event, of: name }))
  return heard
}

const named = (heard: readonly Heard[], name: string): Heard[] => heard.filter((event) => event.of === name)

test('a statement: connect, acquire, query, release', async () => {
  const pool = testPool(database.url)
  const heard = listen(pool)
  await pool.query('select $1::int as one, generate_series(1, 3)', [4711])
  expect(heard.map(({ of }) => of)).toEqual(['connect', 'acquire', 'query', 'release'])
  const [connect, acquire, query, release] = heard
  const { address, pid } = connect as Heard
  expect(address).toContain(new URL(database.url).port)
  expect(
    heard.every((event) => event['address'] === address && event['role'] === 'primary' && event['pid'] === pid),
  ).toBe(true)
  expect(connect?.['durationMs']).toBeGreaterThan(0)
  expect(acquire?.['waitMs']).toBeGreaterThan(0)
  expect(query).toMatchObject({
    text: 'select $1::int as one, generate_series(1, 3)',
    name: undefined,
    command: 'SELECT',
    rowCount: 3,
    why: 'the only server',
    error: undefined,
  })
  expect(query?.['durationMs']).toBeGreaterThan(0)
  expect(release?.['heldMs']).toBeGreaterThanOrEqual(query?.['durationMs'] as number)
  await pool.query('select 1')
  expect(named(heard, 'acquire').at(-1)).toMatchObject({ waitMs: 0, waiting: 0 })
})

test('statements of a transaction are told one by one, a slow one twice', async () => {
  const pool = testPool(database.url, { slowQueryMs: 0 })
  const heard = listen(pool)
  await pool.withTransaction((tx) => tx.query('insert into customer values ($1, 1)', ['ada@example.org']))
  expect(named(heard, 'query').map(({ text }) => text)).toEqual(['insert into customer values ($1, 1)', 'commit'])
  expect(named(heard, 'query')).toMatchObject([{ command: 'INSERT', rowCount: 1 }, { command: 'COMMIT' }])
  expect(named(heard, 'slow-query').map(({ text }) => text)).toEqual(named(heard, 'query').map(({ text }) => text))
  expect(pool.stats().queries).toMatchObject({ ok: 2, slow: 2 })
  expect(new Set(Object.values(pool.stats().queries.failed))).toEqual(new Set([0]))
})

test('neither parameters nor what an error repeats of them nor the password are told', async () => {
  const secret = 'grace.hopper@example.org'
  const pool = testPool(database.url)
  await pool.query('insert into customer values ($1, 2)', [secret])
  const heard = listen(pool)
  const channelled: unknown[] = []
  const listener = (message: unknown): void => void channelled.push(message)
  const traces = tracingChannel<unknown, QueryTrace>('pg-lifeguard:query')
  const tracer = { start: listener, end: listener, asyncStart: listener, asyncEnd: listener, error: listener }
  for (const name of names) subscribe(`pg-lifeguard:${name}`, listener)
  traces.subscribe(tracer)
  const duplicate = await rejection(pool.query('insert into customer values ($1, 2)', [secret]))
  expect(duplicate).toMatchObject({ code: '23505', detail: expect.stringContaining(secret) })
  const noNumber = await rejection(pool.query('select $1::text::int', [secret]))
  expect(noNumber.message).toContain(secret)
  await rejection(pool.withTransaction((tx) => tx.query('insert into customer values ($1, 2)', [secret])))
  for (const name of names) unsubscribe(`pg-lifeguard:${name}`, listener)
  traces.unsubscribe(tracer)
  const told = JSON.stringify([heard, channelled])
  expect(told).not.toContain(secret)
  const password = new URL(database.url).password
  if (password !== '') expect(told).not.toContain(password)
  expect(named(heard, 'query')[0]?.['error']).toEqual({
    name: 'error',
    code: '23505',
    class: 'contended',
    message: undefined,
    constraint: 'customer_pkey',
    table: 'customer',
    schema: 'public',
  })
  expect(named(heard, 'query')[1]).toMatchObject({ error: { code: '22P02', class: 'user' }, command: undefined })
  expect(pool.stats().queries.failed).toMatchObject({ contended: 2, user: 1 })
})

test('every event is on its channel, with the name of the pool', async () => {
  const heard: unknown[] = []
  const listener = (message: unknown, name: string | symbol): void => void heard.push([name, message])
  subscribe('pg-lifeguard:query', listener)
  subscribe('pg-lifeguard:connect', listener)
  const pool = testPool(database.url, { name: 'shop' })
  await pool.query('select 1')
  unsubscribe('pg-lifeguard:query', listener)
  unsubscribe('pg-lifeguard:connect', listener)
  await pool.query('select 2')
  expect(heard).toMatchObject([
    ['pg-lifeguard:connect', { pool: 'shop', role: 'primary' }],
    ['pg-lifeguard:query', { pool: 'shop', text: 'select 1' }],
  ])
})

test('a statement can be traced: one object from start to asyncEnd', async () => {
  const pool = testPool(database.url, { name: 'shop' })
  const order: string[] = []
  const seen = new Set<QueryTrace>()
  const at = (step: string) => (trace: QueryTrace) => {
    order.push(step)
    seen.add(trace)
  }
  const channels = tracingChannel<unknown, QueryTrace>('pg-lifeguard:query')
  const tracer = {
    start: at('start'),
    end: at('end'),
    asyncStart: at('asyncStart'),
    asyncEnd: at('asyncEnd'),
    error: at('error'),
  }
  channels.subscribe(tracer)
  await pool.query({ text: 'select $1::int', values: [1], name: 'one' })
  await rejection(pool.query('select nothing from nowhere'))
  channels.unsubscribe(tracer)
  expect(order).toEqual(['start', 'end', 'asyncStart', 'asyncEnd', 'start', 'end', 'error', 'asyncStart', 'asyncEnd'])
  expect([...seen]).toMatchObject([
    { pool: 'shop', text: 'select $1::int', name: 'one', command: 'SELECT', rowCount: 1 },
    { text: 'select nothing from nowhere', error: { code: '42P01', message: undefined } },
  ])
})

test('listeners that throw disturb nothing', async () => {
  const pool = testPool(database.url)
  const warnings: string[] = []
  const warn = (warning: Error): void => void warnings.push(warning.message)
  process.on('warning', warn)
  for (const name of names) {
    pool.on(name, () => {
      throw new Error(`careless at ${name}`)
    })
  }
  for (let call = 0; call < 3; call++) expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  await eventually('the warnings are out', () => warnings.includes('careless at release'))
  process.off('warning', warn)
  expect(pool.stats()).toMatchObject({ pool: { active: 0, idle: 1, total: 1 } })
})

test('why a connection was closed', async () => {
  const reasonOf = async (
    options: Parameters<typeof testPool>[1],
    act: (pool: Pool) => Promise<void>,
  ): Promise<unknown> => {
    const pool = testPool(database.url, options)
    const heard = listen(pool)
    await act(pool)
    await eventually('it is closed', () => named(heard, 'close').length > 0)
    return named(heard, 'close')[0]?.['reason']
  }
  const use = async (pool: Pool): Promise<void> => void (await pool.query('select 1'))
  expect(await reasonOf({ maxUses: 1 }, use)).toBe('uses')
  expect(await reasonOf({ idleTimeoutMs: 1 }, use)).toBe('idle')
  expect(await reasonOf({ maxLifetimeMs: 1 }, use)).toBe('lifetime')
  expect(await reasonOf({}, async (pool) => (await pool.acquire()).release({ discard: true }))).toBe('discarded')
  expect(await reasonOf({}, async (pool) => use(pool).then(() => pool.end()))).toBe('end')
  expect(
    await reasonOf({}, async (pool) => {
      const { rows } = await pool.query<{ pid: number }>('select pg_backend_pid() as pid')
      await testPool(database.url).query('select pg_terminate_backend($1)', [rows[0]?.pid])
    }),
  ).toBe('lost')
  for (const mode of ['idle', 'graceful', 'all'] as const) {
    expect(await reasonOf({}, async (pool) => use(pool).then(() => pool.evict(mode)))).toBe('evicted')
  }
  const inUse = async (pool: Pool, mode: 'graceful' | 'all', discard: boolean): Promise<void> => {
    const connection = await pool.acquire()
    const flushed = pool.evict(mode)
    connection.release({ discard })
    await flushed
  }
  for (const mode of ['graceful', 'all'] as const) {
    for (const discard of [false, true]) {
      expect(await reasonOf({}, (pool) => inUse(pool, mode, discard))).toBe('evicted')
    }
  }
})

test('a connection that breaks is told, with its cause; one that the pool closes itself is not', async () => {
  const pool = testPool(database.url)
  const heard = listen(pool)
  const { rows } = await pool.query<{ pid: number }>('select pg_backend_pid() as pid')
  const pid = rows[0]?.pid
  await testPool(database.url).query('select pg_terminate_backend($1)', [pid])
  await eventually('it is told', () => named(heard, 'error').length > 0)
  expect(named(heard, 'error')).toMatchObject([{ pid, error: expect.any(Error) }])
  ;(await pool.acquire()).release({ discard: true })
  await pool.end()
  expect(named(heard, 'error')).toHaveLength(1)
})

test('leaks, and their return', async () => {
  const leaks: unknown[] = []
  const pool = testPool(database.url, { leakDetectionMs: 5, onLeak: (leak) => leaks.push(leak.returned) })
  const heard = listen(pool)
  const connection = await pool.acquire()
  await eventually('the leak is told', () => named(heard, 'leak').length > 0)
  connection.release()
  await eventually('its return is told', () => named(heard, 'leak-returned').length > 0)
  expect(named(heard, 'leak')[0]).toMatchObject({ acquireStack: expect.stringContaining('events.test.ts') })
  expect(leaks).toEqual([false, true])
})

test('callers who get no connection: in time, or at all', async () => {
  const pool = testPool(database.url, { max: 1, maxWaiting: 1 })
  const heard = listen(pool)
  const connection = await pool.acquire()
  const waiting = rejection(pool.query('select 1', [], { timeoutMs: 20 }))
  expect((await rejection(pool.query('select 1'))).code).toBe('LIFEGUARD_QUEUE_FULL')
  expect((await waiting).code).toBe('LIFEGUARD_ACQUIRE_TIMEOUT')
  connection.release()
  await pool.end()
  expect((await rejection(pool.query('select 1'))).code).toBe('LIFEGUARD_POOL_CLOSED')
  expect(named(heard, 'turned-away')).toMatchObject([{ reason: 'queue-full', waiting: 1 }, { reason: 'pool-closed' }])
  expect(named(heard, 'timeout')).toMatchObject([{ reason: 'pool-busy', waiting: 0 }])
  expect(named(heard, 'timeout')[0]?.['waitMs']).toBeGreaterThan(10)
  expect(pool.stats().waits.refusals).toMatchObject({ poolBusy: 1, queueFull: 1, poolClosed: 1 })
})

test('attempts to connect that fail, and callers who waited for them', async () => {
  const proxy: FaultProxy = await startFaultProxy({ target: database.url })
  await proxy.refuse()
  const pool = testPool(proxy.url)
  const heard = listen(pool)
  // Without a bound of its own, as nobody knows how long the first attempt takes.
  const first = new AbortController()
  const given = rejection(pool.query('select 1', [], { signal: first.signal }))
  await eventually('an attempt has failed', () => named(heard, 'connect-failed').length > 0)
  first.abort()
  await given
  await rejection(pool.query('select 1', [], { timeoutMs: 20 }))
  expect(named(heard, 'connect-failed')[0]).toMatchObject({ error: { code: 'ECONNREFUSED' } })
  expect(named(heard, 'timeout')).toMatchObject([{ reason: 'server-unavailable' }])
  await pool.end()
  await proxy[Symbol.asyncDispose]()
})

test('stats() has the times as histograms', async () => {
  const pool = testPool(database.url)
  for (let call = 0; call < 10; call++) await pool.query('select 1')
  const {
    waits: { durationMs: acquireMs, refusals },
    queries: { durationMs: queryMs },
    queries,
  } = pool.stats()
  expect([acquireMs.count, queryMs.count, queries.ok]).toEqual([10, 10, 10])
  expect(acquireMs.counts[0]).toBe(9) // the first one waited for its connection
  expect(queryMs.counts.reduce((sum, count) => sum + count)).toBe(10)
  expect(queryMs.sumMs).toBeGreaterThan(0)
  expect(acquireMs.boundsMs).toHaveLength(acquireMs.counts.length - 1)
  expect(Object.values(refusals).every((count) => count === 0)).toBe(true)
})

/** The numbers of an object, by their path in it. */
function leaves(value: unknown, path = ''): Map<string, unknown> {
  if (typeof value !== 'object' || value === null) return new Map([[path, value]])
  return new Map(
    Object.entries(value).flatMap(([name, one]) => [...leaves(one, path === '' ? name : `${path}.${name}`)]),
  )
}

test('stats() has its figures in groups, and counts a caller that is refused once', async () => {
  const pool = testPool(database.url, { max: 1, maxWaiting: 0, pipelining: false })
  expect(Object.keys(pool.stats())).toEqual([
    'name',
    'state',
    'pool',
    'waits',
    'queries',
    'retries',
    'retryBudget',
    'retryGate',
    'servers',
    'beside',
  ])
  const held = await pool.acquire()
  const changedBy = async (work: () => Promise<unknown>): Promise<string[]> => {
    const before = leaves(pool.stats())
    await work()
    const after = leaves(pool.stats())
    const moving = /Ms$/
    return [...after].filter(([path, now]) => !moving.test(path) && now !== before.get(path)).map(([path]) => path)
  }
  expect(await changedBy(() => rejection(pool.query('select 1')))).toEqual(['waits.refusals.queueFull'])
  const stop = AbortSignal.abort()
  expect(await changedBy(() => rejection(pool.query('select 1', [], { signal: stop })))).toEqual([
    'waits.refusals.givenUp',
  ])
  held.release()
  expect(pool.stats()).toMatchObject({ pool: { max: 1, total: 1, idle: 1, active: 0 }, waits: { longestMs: 0 } })
})
