import { once } from 'node:events'
import { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import pg from 'pg'
import { from, to } from 'pg-copy-streams'
import Cursor from 'pg-cursor'
import QueryStream from 'pg-query-stream'
import { beforeEach, describe, expect, test } from 'vitest'
import { type Pool, UnreadableResultError } from '../../src/index.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table item (id int primary key)' })
const thrown = Object.assign(new Error('no such value'), { code: '40001' })
const parserThrows = {
  getTypeParser: () => () => {
    throw thrown
  },
}
const lookUpThrows = {
  getTypeParser: (): never => {
    throw thrown
  },
}

let pool: Pool
beforeEach(async () => {
  pool = testPool(database.url, { max: 1 })
  await pool.query('truncate item')
})

/** Nothing was lost, nothing is held, and the connection answers for itself. */
async function isSound(): Promise<void> {
  expect((await pool.query('select 7 as n')).rows).toEqual([{ n: 7 }])
  await eventually('nobody holds it', () => pool.stats().pool.active === 0)
  expect(pool.stats()).toMatchObject({ pool: { opened: 1, closed: 0 }, waits: { waiting: 0 } })
}

const many = 'select generate_series(1, 5000) as n'
/** As much as no socket holds. */
const endless = "select generate_series(1, 5000000) as n, repeat('x', 1000) as t"

describe('a guest whose values cannot be read is told, and the connection goes on', () => {
  test.each([
    ['a parser', parserThrows],
    ['the look-up of one', lookUpThrows],
  ])('when %s throws', async (_, types) => {
    const client = await pool.asPgPool().connect()
    const cursor = client.query(new Cursor(many, [], { types } as never))
    expect(await rejection(cursor.read(10))).toBe(thrown)
    await cursor.close()
    expect((await client.query('select 1 as n')).rows).toEqual([{ n: 1 }])
    const stream = client.query(new QueryStream(many, [], { types } as never))
    expect(await rejection(stream.toArray())).toBe(thrown)
    expect((await client.query('select 2 as n')).rows).toEqual([{ n: 2 }])
    for (const rows of [undefined, 10]) {
      const { promise, resolve } = Promise.withResolvers<unknown>()
      client.query(new pg.Query({ text: many, types, rows } as never, resolve as never))
      expect(await promise).toBe(thrown)
      expect((await client.query('select 3 as n')).rows).toEqual([{ n: 3 }])
    }
    client.release()
    const left = pool.asPgPool().query(new QueryStream(many, [], { types } as never))
    expect(await rejection(left.toArray())).toBe(thrown)
    await isSound()
  })

  test.each([
    ['a parser', parserThrows],
    ['the look-up of one', lookUpThrows],
  ])("a write by pg's own query says that it committed when %s throws", async (_, types) => {
    for (const [id, extra] of [{ queryMode: 'extended' }, { rows: 1 }, { binary: true }].entries()) {
      const text = `insert into item values (${id}) returning id`
      const error = await rejection(pool.asPgPool().query({ text, types, ...extra } as pg.QueryConfig))
      expect(error).toBeInstanceOf(UnreadableResultError)
      expect(error).toMatchObject({ outcome: 'committed', cause: thrown })
    }
    expect((await pool.query('select count(*)::int as n from item')).rows).toEqual([{ n: 3 }])
    await isSound()
  })

  test('one inside a transaction does not end it', async () => {
    await pool.withTransaction(async (tx) => {
      const client = await pool.asPgPool().connect()
      const cursor = client.query(new Cursor(many, [], { types: parserThrows } as never))
      expect(await rejection(cursor.read(10))).toBe(thrown)
      client.release()
      await tx.query('insert into item values (1)')
    })
    expect((await pool.query('select id from item')).rows).toEqual([{ id: 1 }])
    await isSound()
  })
})

test('an error of the server ends a pg.Query that fetches in parts, which sends no Sync by itself', async () => {
  const client = await pool.asPgPool().connect()
  const text = 'select 1 / (30 - g) from generate_series(1, 50) g'
  expect(await rejection(client.query({ text, rows: 10 } as pg.QueryConfig))).toMatchObject({ code: '22012' })
  expect((await client.query('select 1 as n')).rows).toEqual([{ n: 1 }])
  client.release()
  await isSound()
})

describe('a client that is given back with an unread guest costs nobody anything', () => {
  const guests: readonly (readonly [string, (client: pg.PoolClient) => unknown])[] = [
    ['a cursor of which nothing was read', (client) => client.query(new Cursor(endless))],
    ['a cursor of which a part was read', (client) => client.query(new Cursor(endless)).read(3)],
    [
      'a cursor that is being read',
      (client) => {
        void client
          .query(new Cursor(endless))
          .read(5_000_000)
          .catch(() => undefined)
      },
    ],
    [
      'a cursor in a transaction',
      async (client) => {
        await client.query('begin')
        await client.query('insert into item values (1)')
        await client.query(new Cursor(endless)).read(3)
      },
    ],
    ['several cursors', (client) => [1, 2, 3].map(() => client.query(new Cursor(endless)))],
    ['a cursor of a write', (client) => client.query(new Cursor('insert into item values (1) returning id'))],
    ['a cursor that fails', (client) => client.query(new Cursor('select 1 / 0'))],
    ['a stream of which nothing was read', (client) => client.query(new QueryStream(endless))],
    [
      'a stream of which a part was read',
      async (client) => {
        const stream = client.query(new QueryStream(endless, [], { batchSize: 10 }))
        stream.once('error', () => undefined)
        await new Promise((resolve) => stream.once('readable', resolve))
        stream.read()
      },
    ],
    ['a COPY to which nothing was written', (client) => client.query(from('copy item from stdin'))],
    [
      'a COPY that was written to in part',
      async (client) => {
        const stream = client.query(from('copy item from stdin'))
        await new Promise((resolve) => stream.write('1\n', resolve))
      },
    ],
    [
      'a COPY in a transaction that somebody writes to on and on',
      async (client) => {
        await client.query('begin')
        const stream = client.query(from('copy item from stdin'))
        stream.once('error', () => undefined)
        await new Promise((resolve) => stream.write('1\n', resolve))
        stream.write('2\n')
      },
    ],
    ['several COPYs', (client) => [1, 2, 3].map(() => client.query(from('copy item from stdin')))],
    [
      'a COPY after a statement that runs',
      (client) => {
        void client.query('select pg_sleep(0.05)')
        client.query(from('copy item from stdin'))
      },
    ],
    [
      'a COPY that the server refuses',
      (client) => client.query(from('copy no_such_table from stdin')).once('error', () => undefined),
    ],
  ]
  test.each(guests)('%s', async (_, leave) => {
    const before = process.memoryUsage().rss
    const client = await pool.asPgPool().connect()
    await leave(client as unknown as pg.PoolClient)
    client.release()
    // In the line of the same connection, and in less time than it would take to read all of it.
    expect((await pool.query({ text: 'select 1 as n' }, { timeoutMs: 4_000 })).rows).toEqual([{ n: 1 }])
    expect(process.memoryUsage().rss - before).toBeLessThan(200_000_000)
    await isSound()
  })

  const copied = `copy (${endless}) to stdout`
  const silent = new Writable({ write: () => undefined })
  // COPY streams read the socket themselves, so that nobody else can tell where in it they are.
  test.each<readonly [string, (client: pg.PoolClient) => unknown]>([
    ['a COPY of which nothing was read', (client) => client.query(to(copied))],
    ['a COPY of which nothing was read, and its reader waits', (client) => client.query(to(copied)).pipe(silent)],
    [
      'a COPY of which a part was read',
      async (client) => {
        const stream = client.query(to(copied))
        await once(stream, 'readable')
        stream.read(100)
      },
    ],
    [
      'a COPY that is being read',
      async (client) => {
        const stream = client.query(to(copied))
        await once(stream, 'data')
      },
    ],
    [
      'a COPY in a transaction, after another one',
      async (client) => {
        await client.query('begin')
        await client.query('insert into item values (1)')
        client.query(to(copied))
        client.query(to(copied))
      },
    ],
    [
      'a COPY after a statement that runs',
      (client) => {
        void client.query('select pg_sleep(0.05)')
        client.query(to(copied))
      },
    ],
  ])('%s ends its session at once', async (_, leave) => {
    const pgPool = pool.asPgPool()
    const errors: unknown[] = []
    pgPool.on('error', (error) => errors.push(error))
    const client = await pgPool.connect()
    const { processID } = client as unknown as { processID: number }
    await leave(client as unknown as pg.PoolClient)
    client.release()
    expect((await pool.query({ text: 'select count(*)::int as n from item' }, { timeoutMs: 4_000 })).rows).toEqual([
      { n: 0 },
    ])
    expect(errors).toEqual([])
    await eventually('the server is done with it', async () => {
      const { rows } = await pool.query('select 1 from pg_stat_activity where pid = $1', [processID])
      return rows.length === 0
    })
    expect(pool.stats()).toMatchObject({ pool: { opened: 2, closed: 1, active: 0 }, waits: { waiting: 0 } })
  })

  test('a COPY is told why, whichever way it goes', async () => {
    const client = await pool.asPgPool().connect()
    const into = client.query(from('copy item from stdin'))
    into.write('1\n')
    const failed = once(into, 'error')
    await eventually('it runs', () => pool.active().some(({ text }) => text?.startsWith('copy item')))
    client.release()
    expect((await failed)[0]).toMatchObject({ code: 'LIFEGUARD_CONNECTION_RELEASED' })
    await isSound()
    expect((await pool.query('select id from item')).rows).toEqual([])

    const again = await pool.asPgPool().connect()
    const out = again.query(to(copied))
    const read = rejection(finished(out.resume()))
    await once(out, 'data')
    again.release()
    expect(await read).toMatchObject({ code: 'LIFEGUARD_CONNECTION_RELEASED' })
    expect((await pool.query('select 7 as n')).rows).toEqual([{ n: 7 }])
  })

  test.each([
    ['in', () => from('copy item from stdin'), 'LIFEGUARD_TRANSACTION_ROLLED_BACK'],
    ['out', () => to(copied), 'LIFEGUARD_TRANSACTION_CLOSED'],
  ] as const)('a COPY %s of a transaction around undoes that, and nobody waits', async (_, made, code) => {
    const around = pool.withTransaction(
      async (tx) => {
        await tx.query('insert into item values (1)')
        const client = await pool.asPgPool().connect()
        client.query(made() as ReturnType<typeof from>)
        client.release()
      },
      { timeoutMs: 4_000 },
    )
    expect((await rejection(around)).code).toBe(code)
    expect((await pool.query('select count(*)::int as n from item')).rows).toEqual([{ n: 0 }])
  })

  test('a COPY whose time is over ends at once, and frees its connection or its place', async () => {
    for (const [made, closed] of [
      [() => from('copy item from stdin'), 0],
      [() => to(copied), 1],
    ] as const) {
      const client = await pool.asPgPool().connect()
      const stream = await pool.withDeadline(async () => client.query(made() as ReturnType<typeof from>), {
        timeoutMs: 500,
      })
      const [error] = await once(stream, 'error')
      expect(error).toMatchObject({ code: 'LIFEGUARD_TIMEOUT' })
      client.release()
      expect((await pool.query({ text: 'select 7 as n' }, { timeoutMs: 4_000 })).rows).toEqual([{ n: 7 }])
      expect(pool.stats()).toMatchObject({ pool: { closed } })
    }
  })

  test('a listener of what is told that throws keeps no connection', async () => {
    const warned = once(process, 'warning')
    const client = await pool.asPgPool().connect()
    const stream = client.query(from('copy item from stdin'))
    stream.on('error', () => {
      throw new Error('a bug of a listener')
    })
    await eventually('it runs', () => pool.active().some(({ text }) => text?.startsWith('copy item')))
    client.release()
    expect(String((await warned)[0])).toContain('a bug of a listener')
    await isSound()
  })

  test('who reads on is told that the connection is not its own any more', async () => {
    const client = await pool.asPgPool().connect()
    const cursor = client.query(new Cursor(many))
    expect(await cursor.read(2)).toEqual([{ n: 1 }, { n: 2 }])
    const waiting = client.query(new Cursor(many))
    const stream = client.query(new QueryStream(many))
    client.release()
    const released = { code: 'LIFEGUARD_CONNECTION_RELEASED' }
    expect(await rejection(cursor.read(2))).toMatchObject(released)
    expect(await rejection(waiting.read(2))).toMatchObject(released)
    expect(await rejection(stream.toArray())).toMatchObject(released)
    await isSound()
    // Whoever has the connection now is not disturbed, and who closes does not wait for others.
    expect(await rejection(cursor.read(2))).toMatchObject(released)
    await cursor.close()
    await waiting.close()
    await isSound()
  })

  test('inside a transaction the rest of the transaction goes on', async () => {
    await pool.withTransaction(async (tx) => {
      const client = await pool.asPgPool().connect()
      const cursor = client.query(new Cursor(endless))
      expect(await cursor.read(1)).toHaveLength(1)
      client.query(new Cursor(endless))
      client.release()
      expect((await tx.query('select 2 as n')).rows).toEqual([{ n: 2 }])
      await tx.query('insert into item values (1)')
    })
    expect((await pool.query('select id from item')).rows).toEqual([{ id: 1 }])
    await isSound()
  })

  test('what ends by itself is done to its end', async () => {
    const client = await pool.asPgPool().connect()
    const done = client.query('insert into item values (1)')
    client.query(new pg.Query('insert into item values (2)'))
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    client.query(
      new pg.Query({ text: 'insert into item values ($1) returning id', values: [3] }, (error, result) =>
        error ? reject(error) : resolve(result.rows),
      ),
    )
    const copy = client.query(from('copy item from stdin'))
    copy.write('4\n')
    copy.end('5\n')
    client.release()
    await done
    expect(await promise).toEqual([{ id: 3 }])
    await once(copy, 'finish')
    expect((await pool.query('select count(*)::int as n from item')).rows).toEqual([{ n: 5 }])
    await isSound()
  })
})

test('a cursor whose deadline has come is told so, gets no more rows, and frees its connection', async () => {
  const client = await pool.asPgPool().connect()
  const cursor = await pool.withDeadline(
    async () => {
      const submitted = client.query(new Cursor(endless))
      await submitted.read(1)
      return submitted
    },
    { timeoutMs: 500 },
  )
  const failed = await eventually('it is told', async () => {
    try {
      await cursor.read(1)
      return undefined
    } catch (error) {
      return error
    }
  })
  expect(failed).toMatchObject({ code: 'LIFEGUARD_TIMEOUT', outcome: 'unknown' })
  expect((await client.query('select 1 as n')).rows).toEqual([{ n: 1 }])
  client.release()
  await isSound()
})
