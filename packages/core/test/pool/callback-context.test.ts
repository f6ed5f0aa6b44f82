import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { types as pgTypes } from 'pg'
import { expect, test } from 'vitest'
import type { PoolOptions } from '../../src/index.js'
import { eventually, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table entry (id int)' })
const request = new AsyncLocalStorage<string>()

/** What was seen, and in whose context. */
class Seen {
  readonly #all: (readonly [string, string | undefined])[] = []
  note(what: string): void {
    this.#all.push([what, request.getStore()])
  }
  of(what: string): (string | undefined)[] {
    return this.#all.filter(([name]) => name === what).map(([, who]) => who)
  }
}

/** A pool whose one connection was opened by `opener`, and is idle. */
async function opened(options: Omit<PoolOptions, 'connectionString'> = {}) {
  const pool = testPool(database.url, { max: 1, ...options })
  await request.run('opener', () => pool.query('select 1'))
  return pool
}

const names = ['query', 'slow-query', 'connect', 'close', 'error', 'leak', 'leak-returned', 'timeout'] as const

test('what is said of a connection is said in no context, and what is said of a query in that of who asked, or in none', async () => {
  const seen = new Seen()
  const pool = testPool(database.url, { max: 1, slowQueryMs: 1 })
  for (const name of names) pool.on(name, () => seen.note(name))
  const heard = (): void => seen.note('channel')
  subscribe('pg-lifeguard:connect', heard)
  try {
    await request.run('opener', () => pool.query('select pg_sleep(0.01)'))
    await request.run('asker', () => pool.query('select pg_sleep(0.01)'))
    await Promise.allSettled([request.run('asker', () => pool.query('select pg_terminate_backend(pg_backend_pid())'))])
    await eventually('it is closed', () => seen.of('close').length > 0)
    expect(seen.of('connect')[0]).toBeUndefined()
    expect(seen.of('connect').length).toBeGreaterThan(0)
    expect(seen.of('channel')).toEqual(seen.of('connect'))
    expect(seen.of('close')).toEqual(seen.of('close').map(() => undefined))
    expect(seen.of('slow-query').length).toBeGreaterThanOrEqual(2)
    expect(['asker', undefined]).toContain(seen.of('slow-query')[1])
  } finally {
    unsubscribe('pg-lifeguard:connect', heard)
  }
})

test('a leak is reported in no context, whoever gave the connection to its holder', async () => {
  const seen = new Seen()
  const pool = await opened({
    leakDetectionMs: 20,
    onLeak: ({ returned }) => seen.note(returned ? 'returned' : 'held'),
  })
  pool.on('leak', () => seen.note('event'))
  const first = await request.run('releaser', () => pool.acquire())
  const waiting = request.run('asker', () => pool.acquire())
  await eventually('one waits', () => pool.stats().waits.waiting === 1)
  await eventually('the first is reported', () => seen.of('held').length === 1)
  await request.run('releaser', async () => first.release())
  const second = await waiting
  await eventually('the second is reported', () => seen.of('held').length === 2)
  await request.run('other', async () => second.release())
  await eventually('both are returned', () => seen.of('returned').length === 2)
  for (const what of ['held', 'returned', 'event']) expect(new Set(seen.of(what))).toEqual(new Set([undefined]))
})

test('who waited is served in his own context by the release of another', async () => {
  const seen = new Seen()
  const pool = await opened()
  pool.on('query', () => seen.note('query'))
  const held = await request.run('releaser', () => pool.acquire())
  const value = {
    toPostgres: () => {
      seen.note('value')
      return 'a'
    },
  }
  const asked = request.run('asker', () => pool.query('select $1::text', [value]).then(() => seen.note('then')))
  const within = request.run('asker', () =>
    pool.withTransaction(async (tx) => {
      seen.note('callback')
      tx.afterCommit(() => seen.note('hook'))
      await tx.query('select 1')
    }),
  )
  await eventually('they wait', () => pool.stats().waits.waiting === 2)
  await request.run('releaser', async () => held.release())
  await Promise.all([asked, within])
  for (const what of ['then', 'callback', 'hook']) expect([what, seen.of(what)]).toEqual([what, ['asker']])
  expect(seen.of('value')).toHaveLength(1)
  expect(['asker', undefined]).toContain(seen.of('value')[0])
  for (const who of seen.of('query')) expect(['asker', undefined]).toContain(who)
})

test('type parsers run in no context of another', async () => {
  const seen = new Seen()
  const types = {
    getTypeParser: ((oid: number, format?: 'text') => {
      if (oid !== pgTypes.builtins.INT4) return pgTypes.getTypeParser(oid, format)
      return (value: string) => {
        seen.note('parser')
        return Number(value)
      }
    }) as typeof pgTypes.getTypeParser,
  }
  const pool = await opened()
  const ask = () => pool.query({ text: 'select 1::int4 as a', types })
  await Promise.all([request.run('asker', ask), request.run('beside', ask), request.run('asker', ask)])
  expect(seen.of('parser')).toHaveLength(3)
  for (const who of seen.of('parser')) expect(who === undefined || who !== 'opener').toBe(true)
  expect(seen.of('parser').filter((who) => who !== undefined && who !== 'asker')).toEqual([])
})

test('the rows and the progress of a COPY are the affair of who copies', async () => {
  const seen = new Seen()
  const pool = await opened()
  const held = await request.run('releaser', () => pool.acquire())
  async function* rows() {
    for (let n = 0; n < 20_000; n++) {
      if (n % 5_000 === 0) {
        seen.note('source')
        await new Promise(setImmediate)
      }
      yield [n]
    }
  }
  const copied = request.run('asker', () =>
    pool.copyFrom({ table: 'entry', columns: ['id'] }, rows(), { onProgress: () => seen.note('progress') }),
  )
  await eventually('it waits', () => pool.stats().waits.waiting === 1)
  await request.run('releaser', async () => held.release())
  await copied
  expect(new Set(seen.of('source'))).toEqual(new Set(['asker']))
  expect(seen.of('progress').length).toBeGreaterThan(0)
  for (const who of seen.of('progress')) expect(['asker', undefined]).toContain(who)
  const out = request.run('asker', () => pool.copyTo({ table: 'entry' }, { onProgress: () => seen.note('out') }))
  await request.run('reader', () => out.resume().toArray())
  expect(seen.of('out').length).toBeGreaterThan(0)
  for (const who of seen.of('out')) expect(['asker', undefined]).toContain(who)
})
