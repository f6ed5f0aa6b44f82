import { createServer, type Server, type Socket } from 'node:net'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Pool, type PoolOptions, sqlStateOf } from '../../src/index.js'
import { rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({
  setup: `
    create function fail(state text) returns void language plpgsql as $$ begin raise exception 'failed' using errcode = state; end $$;
    create function fail_row() returns trigger language plpgsql as $$ begin perform fail(new.state); return new; end $$;
    create table at_once (state text);
    create trigger fail before insert on at_once for each row execute function fail_row();
    create table late (state text);
    create constraint trigger fail after insert on late deferrable initially deferred for each row execute function fail_row()`,
})

const url = (change: (url: URL) => void): string => {
  const changed = new URL(database.url)
  change(changed)
  return changed.href
}

/** What a caller and those who wait with it get, and how many attempts to connect that took. */
async function refused({
  connectionString = '',
  ...options
}: PoolOptions): Promise<{ error: Error & { code?: string }; attempts: number }> {
  const pool = testPool(connectionString, { acquireTimeoutMs: 20_000, max: 1, ...options })
  const errors = await Promise.all([1, 2, 3].map(() => rejection(pool.query('select 1'))))
  const [error] = errors
  for (const one of errors) expect(one.code).toBe(error?.code)
  const {
    pool: { connectFailed },
    servers,
  } = pool.stats()
  for (const { breaker } of servers) expect(breaker?.state).toBe('closed')
  return { error: error as Error, attempts: connectFailed }
}

describe('a login that no waiting cures is refused at once, with what the server said', () => {
  let admin: pg.Client
  beforeAll(async () => {
    admin = new pg.Client(database.url)
    await admin.connect()
    await admin.query("create role lifeguard_barred login password 'x'")
    await admin.query(
      `revoke connect on database ${pg.escapeIdentifier(new URL(database.url).pathname.slice(1))} from public`,
    )
  })
  afterAll(async () => {
    await admin.query('drop role lifeguard_barred')
    await admin.end()
  })

  test.each<readonly [string, string, () => PoolOptions]>([
    [
      '42501',
      'no right to connect',
      () => ({ connectionString: url((to) => Object.assign(to, { username: 'lifeguard_barred', password: 'x' })) }),
    ],
    ['42704', 'a setting that there is not', () => ({ connectionString: database.url, settings: { no_such: '1' } })],
    [
      '22023',
      'a value that a setting does not take',
      () => ({ connectionString: database.url, settings: { work_mem: 'much' } }),
    ],
    [
      '42601',
      'an argument that there is not',
      () => ({ connectionString: url((to) => to.searchParams.set('options', '--bogus')) }),
    ],
    ['3D000', 'a database that there is not', () => ({ connectionString: url((to) => (to.pathname = '/nowhere')) })],
  ])('%s: %s', async (code, _what, options) => {
    const { error, attempts } = await refused(options())
    expect(error).toBeInstanceOf(pg.DatabaseError)
    expect({ code: error.code, attempts }).toEqual({ code, attempts: 1 })
  })

  test('of several hosts each is tried once', async () => {
    const { host, port } = new pg.Client(database.url)
    const { pathname, username, password } = new URL(database.url)
    const { error, attempts } = await refused({
      connectionString: `postgres://${username}:${password}@${host}:${port},${host}:${port}${pathname}`,
      settings: { no_such: '1' },
    })
    expect(error).toBeInstanceOf(AggregateError)
    expect((error as AggregateError).errors.map(({ code }: { code: string }) => code)).toEqual(['42704', '42704'])
    expect(attempts).toBe(1)
  })
})

describe('TLS that is configured wrongly is refused at once', () => {
  /** Says yes to TLS, and then does as it is told. */
  let server: Server
  const sockets = new Set<Socket>()
  beforeAll(async () => {
    server = createServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.once('data', () => {
        socket.write('S')
        socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  })
  afterAll(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  const there = (): PoolOptions => {
    const { port } = server.address() as { port: number }
    return { connectionString: `postgres://u:p@127.0.0.1:${port}/d` }
  }

  test.each<readonly [string, () => PoolOptions]>([
    ['no TLS on the server', () => ({ connectionString: database.url, ssl: true })],
    ['something else than TLS at the other end', () => ({ ...there(), ssl: true })],
    ['a key that is none', () => ({ ...there(), ssl: { key: 'rubbish', cert: 'rubbish' } })],
    [
      'a certificate that is none',
      () => ({ ...there(), ssl: { cert: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----' } }),
    ],
    [
      'an authority that is none',
      () => ({ ...there(), ssl: { ca: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----' } }),
    ],
    ['a version that there is not', () => ({ ...there(), ssl: { minVersion: 'TLSv9' as never } })],
  ])('%s', async (_, options) => {
    const { attempts } = await refused(options())
    expect(attempts).toBe(1)
  })
})

describe('the breaker', () => {
  test.each([
    'XX000',
    'XX001',
    '58P01',
    '58030',
    '53400',
    '53100',
    '53200',
    '53300',
    '57P01',
    '57P03',
    '08006',
    '08001',
  ])('stays closed over an ERROR %s of statements whose sessions live', async (state) => {
    const pool = testPool(database.url)
    for (let i = 0; i < 25; i += 1)
      expect(await rejection(pool.query(`select fail('${state}')`))).toMatchObject({ code: state })
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    expect(pool.stats().servers[0]?.breaker).toMatchObject({ state: 'closed', failures: 0 })
  })

  const failing = ['XX000', '58P01', '53400', '58030', 'XX001', '55000', '08006', '57P01'] as const
  const ways: Readonly<Record<string, (pool: Pool, state: string) => Promise<unknown>>> = {
    'a transaction': (pool, state) => pool.withTransaction((tx) => tx.query(`select fail('${state}')`)),
    'a COMMIT': (pool, state) => pool.withTransaction((tx) => tx.query('insert into late values ($1)', [state])),
    'a statement that commits by itself': (pool, state) => pool.query('insert into late values ($1)', [state]),
    'a batch': (pool, state) => pool.batch([{ text: 'select 1' }, { text: `select fail('${state}')` }]),
    'a stream': async (pool, state) => {
      for await (const _ of pool.stream(`select fail('${state}')`));
    },
    'a copyTo': async (pool, state) => {
      for await (const _ of pool.copyTo({ text: `select fail('${state}')` }));
    },
    'a copyFrom': (pool, state) => pool.copyFrom({ table: 'at_once' }, [[state]]),
    'several at once on one connection': async (pool, state) => {
      const all = await Promise.allSettled([1, 2, 3, 4].map(() => pool.query(`select fail('${state}')`)))
      throw (all[0] as PromiseRejectedResult).reason
    },
    'a client of the facade': (pool, state) => pool.asPgPool().query(`select fail('${state}')`),
    'a lock': (pool, state) => pool.withLock('k', () => pool.query(`select fail('${state}')`)),
  }
  test.each(Object.entries(ways))('stays closed over errors of %s', async (_, ask) => {
    const pool = testPool(database.url, { max: 2, breaker: { minCalls: 5 } })
    for (const state of failing)
      for (let n = 0; n < 3; n += 1) {
        const error = await rejection(ask(pool, state))
        expect(sqlStateOf(error)).toBe(state)
      }
    expect(pool.stats()).toMatchObject({
      pool: { active: 0 },
      servers: [{ breaker: { state: 'closed', failures: 0 } }],
    })
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })

  test('counts sessions that the server ends', async () => {
    const pool = testPool(database.url)
    await rejection(pool.query('select pg_terminate_backend(pg_backend_pid())'))
    expect(pool.stats().servers[0]?.breaker).toMatchObject({ failures: 1 })
  })
})
