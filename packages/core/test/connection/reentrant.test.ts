import { AsyncLocalStorage } from 'node:async_hooks'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import Cursor from 'pg-cursor'
import { expect, test } from 'vitest'
import { Connection } from '../../src/connection/connection.js'
import { Statement } from '../../src/connection/statement.js'
import { SubmittableAdapter } from '../../src/connection/submittable.js'
import { systemClock } from '../../src/deadline/clock.js'
import { Deadline, noDeadline } from '../../src/deadline/deadline.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table item (id int primary key, name text)' })
const text = 'select $1::text as a'

function outer(run: () => void): string {
  run()
  return 'outer'
}

/** The ways in which a value of the caller's runs code while it is turned into what is sent. */
const ways: readonly (readonly [string, (run: () => void) => unknown])[] = [
  ['toPostgres', (run) => ({ toPostgres: () => outer(run) })],
  ['toJSON', (run) => ({ toJSON: () => outer(run) })],
  [
    'a getter',
    (run) => ({
      get a() {
        return outer(run)
      },
    }),
  ],
  ['an element of an array', (run) => [{ toPostgres: () => outer(run) }]],
  ['toString of a function', (run) => Object.assign(() => 1, { toString: () => outer(run) })],
]

test.each(ways)('%s may ask the pool while it is written: everybody gets his own answer', async (_way, make) => {
  const pool = testPool(database.url, { max: 1 })
  for (let n = 0; n < 50; n++) await pool.query(text, ['warm'])
  const inner: Promise<unknown>[] = []
  const value = make(() => inner.push(pool.query(text, ['inner']).then(({ rows }) => rows[0]?.['a'])))
  const values = ['a', value, 'b', value, 'c', 'd']
  const answers = await Promise.all(
    values.map((one) => pool.query(text, [one]).then(({ rows }) => String(rows[0]?.['a']))),
  )
  expect(answers.map((answer) => (/outer/.test(answer) ? 'outer' : answer))).toEqual([
    'a',
    'outer',
    'b',
    'outer',
    'c',
    'd',
  ])
  expect(await Promise.all(inner)).toEqual(['inner', 'inner'])
})

test('so it is in a transaction, a batch, a stream and a COPY', async () => {
  const pool = testPool(database.url, { max: 2 })
  const inner: Promise<unknown>[] = []
  const asks = (ask: () => Promise<{ readonly rows: readonly unknown[] }>, as: string): unknown => ({
    toPostgres: () => {
      inner.push(ask().then(({ rows }) => (rows as { a: string }[])[0]?.a))
      return as
    },
  })
  await pool.withTransaction(async (tx) => {
    const value = asks(() => tx.query(text, ['inner']), 'outer')
    const answers = await Promise.all([tx.query(text, [value]), tx.query(text, ['next'])])
    expect(answers.map(({ rows }) => rows)).toEqual([[{ a: 'outer' }], [{ a: 'next' }]])
    await Promise.all(inner)
  })
  const value = asks(() => pool.query(text, ['inner']), 'outer')
  const batch = await pool.batch([
    { text, values: ['first'] },
    { text, values: [value] },
    { text, values: ['last'] },
  ])
  expect(batch.map(({ rows }) => rows)).toEqual([[{ a: 'first' }], [{ a: 'outer' }], [{ a: 'last' }]])
  const streamed: unknown[] = []
  for await (const row of pool.stream(text, [value])) streamed.push(row)
  expect(streamed).toEqual([{ a: 'outer' }])
  await pool.copyFrom({ table: 'item', columns: ['id', 'name'] }, [[1, value]])
  expect((await pool.query('select name from item')).rows).toEqual([{ name: 'outer' }])
  const answers = await Promise.all(inner)
  expect(answers.length).toBeGreaterThanOrEqual(4)
  expect(new Set(answers)).toEqual(new Set(['inner']))
})

async function session(): Promise<Connection> {
  const { hostname, port, username, password, pathname } = new URL(database.url)
  const where = { host: hostname, port: Number(port), user: username, password, database: pathname.slice(1) }
  return await Connection.open(where, systemClock)
}

const valueThat = (run: () => void): unknown => ({ toPostgres: () => outer(run) })

test('a value that ends its own connection is answered as not sent, and so is what waits', async () => {
  const connection = await session()
  const asked = connection.run(new Statement({ text, values: [valueThat(() => connection.terminate())] }), noDeadline)
  const behind = connection.run(new Statement({ text, values: ['b'] }), noDeadline)
  for (const one of [asked, behind]) {
    expect(await rejection(one)).toMatchObject({ code: 'LIFEGUARD_CONNECTION_LOST', sent: false })
  }
  expect(connection.isAlive).toBe(false)
})

test('a value that aborts its own statement is answered as not sent, and the connection serves others', async () => {
  const connection = await session()
  const gone = new AbortController()
  const deadline = Deadline.ofSignal(gone.signal)
  const value = valueThat(() => gone.abort())
  const asked = connection.run(new Statement({ text: 'insert into item values (99, $1)', values: [value] }), deadline)
  expect(await rejection(asked)).toMatchObject({ code: 'LIFEGUARD_ABORTED', outcome: 'not-sent' })
  const { rows } = await connection.run(new Statement({ text: 'select from item where id = 99' }), noDeadline)
  expect(rows).toEqual([])
  expect(connection.isQuiet).toBe(true)
  await connection.close()
})

test('a value that closes its own connection leaves no half of a message on the wire', async () => {
  const connection = await session()
  const asked = connection.run(new Statement({ text, values: [valueThat(() => void connection.close())] }), noDeadline)
  expect(await rejection(asked)).toMatchObject({ code: 'LIFEGUARD_CONNECTION_LOST' })
  await connection.whenClosed()
})

test('a cursor whose value asks for another cursor: each gets its own rows', async () => {
  const connections = await Promise.all([session(), session()])
  const [one, other] = connections as [Connection, Connection]
  const inner = new Cursor(text, ['inner'])
  let running: Promise<unknown> | undefined
  const value = valueThat(() => {
    running = other.run(new SubmittableAdapter(inner), noDeadline)
  })
  const outer = new Cursor(text, [value])
  const asked = one.run(new SubmittableAdapter(outer), noDeadline)
  expect(await outer.read(10)).toEqual([{ a: 'outer' }])
  expect(await inner.read(10)).toEqual([{ a: 'inner' }])
  await Promise.all([asked, running])
  await Promise.all(connections.map((connection) => connection.close()))
})

test('what a connection calls runs in the context of nobody, and never in that of who had it opened', async () => {
  const request = new AsyncLocalStorage<string>()
  const pool = testPool(database.url, { max: 1, slowQueryMs: 0 })
  const seen: unknown[] = []
  pool.on('slow-query', () => seen.push(request.getStore()))
  await request.run('opener', () => pool.query('select 1'))
  await request.run('asker', () => pool.query('select 1'))
  await eventually('both were told', () => seen.length === 2)
  expect(seen[1] === undefined || seen[1] === 'asker').toBe(true)
})
