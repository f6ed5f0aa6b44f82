import { AsyncLocalStorage } from 'node:async_hooks'
import { tracingChannel } from 'node:diagnostics_channel'
import { createPool, type QueryEvent, type QueryTrace } from '@pg-lifeguard/core'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { Kysely, sql } from 'kysely'
import { expect, test } from 'vitest'
import { LifeguardDialect } from '../src/index.js'

const database = useDatabase()

const requests = new AsyncLocalStorage<number>()

test('statements of Kysely that wait are traced in the context of their caller, and a stream is one of them', async () => {
  await using pool = createPool({ connectionString: database.url, max: 1 })
  await using db = new Kysely<Record<string, never>>({ dialect: new LifeguardDialect(pool) })
  const events: QueryEvent[] = []
  pool.on('query', (event) => events.push(event))
  const seen: (readonly [string, number | undefined])[] = []
  const see = ({ text }: QueryTrace): void => void seen.push([text, requests.getStore()])
  const tracer = { start: see, end: see, asyncStart: see, asyncEnd: see, error: see }
  const channels = tracingChannel<unknown, QueryTrace>('pg-lifeguard:query')
  channels.subscribe(tracer)
  const work = async (id: number): Promise<void> => {
    const column = sql.raw(`request_${id}`)
    await sql`select ${id}::int as ${column}`.execute(db)
    const rows = db.selectFrom(sql`generate_series(1, 10)`.as('n')).select(sql<number>`1`.as(`request_${id}`))
    for await (const row of rows.stream(3)) expect(row).toEqual({ [`request_${id}`]: 1 })
    await db.transaction().execute((tx) => sql`select ${id}::int as ${column}`.execute(tx))
  }
  await Promise.all([1, 2, 3, 4].map((id) => requests.run(id, () => work(id))))
  channels.unsubscribe(tracer)
  const named = seen.filter(([text]) => text.includes('request_'))
  expect(named).toHaveLength(4 * 3 * 4)
  expect(named.filter(([text, store]) => !text.includes(`request_${store}`))).toEqual([])
  expect(seen.filter(([, store]) => store === undefined)).toEqual([])
  const streamed = events.filter(({ text }) => text.includes('generate_series'))
  expect(streamed).toMatchObject(Array.from({ length: 4 }, () => ({ rowCount: 10, firstRowMs: expect.any(Number) })))
  // A transaction has its commit; a stream outside of one is nothing but itself.
  expect(events).toHaveLength(4 * 4)
})
