import { AsyncLocalStorage } from 'node:async_hooks'
import { tracingChannel } from 'node:diagnostics_channel'
import { setTimeout as pause } from 'node:timers/promises'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { afterEach, expect, test } from 'vitest'
import { type Pool, type PoolEvents, type QueryTrace, sql } from '../../src/index.js'
import { rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table item (n int)' })

const requests = new AsyncLocalStorage<number>()

/** One message about a statement: which, and the request in whose context it came. */
interface Seen {
  readonly step: string
  readonly text: string
  readonly store: number | undefined
}

const seen: Seen[] = []
const at = (step: string) => (trace: QueryTrace) =>
  void seen.push({ step, text: trace.text, store: requests.getStore() })
const channels = tracingChannel<unknown, QueryTrace>('pg-lifeguard:query')
const tracer = {
  start: at('start'),
  end: at('end'),
  asyncStart: at('asyncStart'),
  asyncEnd: at('asyncEnd'),
  error: at('error'),
}

/** From here to the end of the test every statement is traced. */
function trace(): void {
  seen.length = 0
  channels.subscribe(tracer)
}

afterEach(() => channels.unsubscribe(tracer))

const ids = (count: number): number[] => Array.from({ length: count }, (_, id) => id)

/** Each piece of work in a context of its own, all at once. */
function inRequests(count: number, work: (id: number) => unknown): Promise<unknown[]> {
  return Promise.all(ids(count).map((id) => requests.run(id, async () => await work(id))))
}

/** A statement that says whose it is. */
const named = (id: number): string => `select ${id} as request_${id}`
const ownerOf = (text: string): number => Number(/request_(\d+)/.exec(text)?.[1])

/** All that was said of the statements with a name came in the contexts of those who had asked for them. */
function expectOwn(statements: number): void {
  const about = seen.filter(({ text }) => text.includes('request_'))
  expect(about.filter(({ text, store }) => store !== ownerOf(text))).toEqual([])
  const steps = (step: string): number => about.filter((one) => one.step === step).length
  expect([steps('start'), steps('end'), steps('asyncStart'), steps('asyncEnd')]).toEqual(ids(4).map(() => statements))
}

/** The contexts in which statements of the library's own began, in order of the requests. */
function contextsOf(text: string | RegExp, step = 'start'): (number | undefined)[] {
  const found = seen.filter(
    (one) => one.step === step && (typeof text === 'string' ? one.text === text : text.test(one.text)),
  )
  return found.map(({ store }) => store).sort((a, b) => (a ?? -1) - (b ?? -1))
}

test('statements that wait in the queue of the pool, each alone on its connection', async () => {
  const pool = testPool(database.url, { max: 2, pipelining: false })
  trace()
  await inRequests(40, (id) => pool.query(named(id)))
  expectOwn(40)
})

test('statements that are sent on connections that others use', async () => {
  const pool = testPool(database.url, { max: 2, pipelining: { slowAfterMs: 10_000 } })
  for (const id of ids(30)) await pool.query(named(id))
  trace()
  await inRequests(30, async (id) => {
    for (let round = 0; round < 3; round++) await pool.query(named(id))
  })
  expectOwn(90)
  expect(pool.stats().queries.pipelined).toBeGreaterThan(0)
})

test('statements that fail, are given up in the queue, or by somebody else while they run', async () => {
  const pool = testPool(database.url, { max: 1, pipelining: false })
  trace()
  await inRequests(6, (id) => rejection(pool.query(`select 1 / 0 as request_${id}`)))
  expectOwn(6)
  expect(contextsOf(/request_/, 'error')).toEqual(ids(6))
  seen.length = 0
  const controller = new AbortController()
  const connection = await pool.acquire()
  const running = requests.run(7, () =>
    rejection(connection.query('select pg_sleep(60) as request_7', [], { signal: controller.signal })),
  )
  const behind = requests.run(8, () => rejection(connection.query(named(8), [], { signal: controller.signal })))
  requests.run(9, () => controller.abort())
  await Promise.all([running, behind])
  connection.release()
  expectOwn(2)
  expect(contextsOf(/request_/, 'error')).toEqual([7, 8])
})

test('statements of different requests on one connection and in one transaction', async () => {
  const pool = testPool(database.url, { max: 2 })
  trace()
  const connection = await pool.acquire()
  await inRequests(10, (id) => connection.query(named(id)))
  connection.release()
  expectOwn(10)
  seen.length = 0
  await requests.run(99, () =>
    pool.withTransaction((tx) => inRequests(10, (id) => (id % 2 === 0 ? tx.query(named(id)) : pool.query(named(id))))),
  )
  expectOwn(10)
  expect(contextsOf('commit')).toEqual([99])
})

test('transactions that wait for a connection, their commits, and their rollbacks, whoever causes those', async () => {
  const pool = testPool(database.url, { max: 2 })
  trace()
  await inRequests(12, (id) => pool.withTransaction((tx) => tx.query(named(id))))
  expectOwn(12)
  expect(contextsOf('commit')).toEqual(ids(12))
  seen.length = 0
  const controller = new AbortController()
  const begun = Promise.withResolvers<void>()
  const ended = requests.run(3, () =>
    rejection(
      pool.withTransaction(
        async (tx) => {
          await tx.query(named(3))
          begun.resolve()
          await new Promise(() => undefined)
        },
        { signal: controller.signal },
      ),
    ),
  )
  await begun.promise
  requests.run(4, () => controller.abort())
  await ended
  await pool.end()
  expectOwn(1)
  expect(contextsOf('rollback')).toEqual([3])
})

test('a connection that is given back in a transaction is tidied up in the context of nobody', async () => {
  const pool = testPool(database.url, { max: 1 })
  trace()
  const connection = await pool.acquire()
  await requests.run(1, async () => {
    await connection.query('begin')
    connection.release()
  })
  await pool.query('select 1')
  expect(contextsOf('rollback')).toEqual([undefined])
})

test('locks, each key of which somebody else waits for', async () => {
  const pool = testPool(database.url, { max: 4 })
  await pool.withLock('warm', async () => undefined)
  trace()
  await inRequests(6, (id) => pool.withLock('one', () => pool.query(named(id))))
  expectOwn(6)
  expect(seen.filter(({ store }) => store === undefined)).toEqual([])
  expect(new Set(contextsOf(/advisory_lock|current_xact_id/))).toEqual(new Set(ids(6)))
})

test('a statement that its connection was lost under is traced again in the same context', async () => {
  const pool = testPool(database.url, { max: 1, validateAfterIdleMs: 600_000 })
  const { rows } = await pool.query<{ pid: number }>('select pg_backend_pid() as pid')
  await testPool(database.url).query('select pg_terminate_backend($1, 5000)', [rows[0]?.pid])
  trace()
  await inRequests(3, (id) => pool.query(named(id)))
  expect(seen.filter(({ text, store }) => text.includes('request_') && store !== ownerOf(text))).toEqual([])
  expect(contextsOf(/request_/, 'asyncEnd').length).toBeGreaterThanOrEqual(3)
})

test('the store that a tracer binds to start is there at the end', async () => {
  const pool = testPool(database.url, { max: 1, pipelining: false })
  const spans = new AsyncLocalStorage<string>()
  const found: (readonly [string, string | undefined])[] = []
  const onEnd = (trace: unknown): void => void found.push([(trace as QueryTrace).text, spans.getStore()])
  channels.start.bindStore(spans, ({ text }) => `span of ${text}`)
  channels.asyncEnd.subscribe(onEnd)
  await inRequests(5, (id) => pool.query(named(id)))
  channels.start.unbindStore(spans)
  channels.asyncEnd.unsubscribe(onEnd)
  expect(found).toHaveLength(5)
  expect(found.every(([text, span]) => span === `span of ${text}`)).toBe(true)
  expect(spans.getStore()).toBeUndefined()
})

/** The contexts in which listeners hear of something, one list for each event. */
function hearContexts(pool: Pool): Map<string, (number | undefined)[]> {
  const heard = new Map<string, (number | undefined)[]>()
  for (const name of ['acquire', 'release', 'query', 'slow-query', 'connect'] satisfies (keyof PoolEvents)[]) {
    pool.on(name, () => void heard.set(name, [...(heard.get(name) ?? []), requests.getStore()]))
  }
  return heard
}

test('listeners of the pool are called in no context', async () => {
  const pool = testPool(database.url, { max: 2, slowQueryMs: 0 })
  const heard = hearContexts(pool)
  const controller = new AbortController()
  const held = await pool.acquire()
  await inRequests(10, (id) => pool.query(named(id)))
  await inRequests(10, (id) => pool.withTransaction((tx) => tx.query(named(id))))
  const given = requests.run(11, () => rejection(held.query('select pg_sleep(60)', [], { signal: controller.signal })))
  requests.run(12, () => controller.abort())
  await given
  requests.run(13, () => held.release())
  await rejection(requests.run(14, () => pool.query('select 1', [], { timeoutMs: 0 })))
  for (const name of ['acquire', 'release', 'query', 'slow-query', 'connect']) {
    expect(new Set(heard.get(name)), name).toEqual(new Set([undefined]))
  }
})

test('batches and COPY, of requests that wait', async () => {
  const pool = testPool(database.url, { max: 1 })
  const contexts: (number | undefined)[] = []
  const rows = async function* (id: number): AsyncGenerator<number[]> {
    await pause(0)
    contexts.push(requests.getStore())
    yield [id]
  }
  trace()
  await inRequests(4, async (id) => {
    await pool.batch([sql`select 1`, sql`select 2`])
    await pool.copyFrom({ table: 'item', columns: ['n'] }, rows(id))
    for await (const chunk of pool.copyTo({ table: 'item' })) expect(chunk).toBeInstanceOf(Buffer)
    for await (const row of pool.stream(named(id), [], { batchSize: 1 })) expect(row).toEqual({ [`request_${id}`]: id })
  })
  expect(seen.filter(({ store }) => store === undefined)).toEqual([])
  expect(contexts.toSorted()).toEqual(ids(4))
})

test('LISTEN is traced as asked for by the first who waits for it', async () => {
  const pool = testPool(database.url)
  trace()
  const [first] = await inRequests(1, () => pool.listen('first', () => undefined))
  const second = await requests.run(5, () => pool.listen('second', () => undefined))
  expect(contextsOf(/^listen/)).toEqual([0, 5])
  await Promise.all([(first as AsyncDisposable)[Symbol.asyncDispose](), second.unlisten()])
})

test('over the facade, with promises and callbacks', async () => {
  const pool = testPool(database.url, { max: 1 })
  const facade = pool.asPgPool()
  trace()
  await inRequests(8, async (id) => {
    await facade.query(named(id))
    await new Promise<void>((resolve) => facade.query(named(id), () => resolve()))
    const client = await facade.connect()
    await Promise.all([client.query(named(id)), client.query(named(id))])
    client.release()
    await new Promise<void>((resolve) =>
      facade.connect((_error, client, release) => {
        client?.query(named(id), () => {
          release()
          resolve()
        })
      }),
    )
  })
  expectOwn(8 * 5)
})
