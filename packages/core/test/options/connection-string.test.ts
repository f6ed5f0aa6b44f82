import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { InvalidArgumentError } from '../../src/errors/lifeguard-error.js'
import { urlNameOf } from '../../src/options/connection-string.js'
import { optionTable, type PoolOptions } from '../../src/options/option-schema.js'
import { type ResolvedPoolOptions, resolveOptions } from '../../src/options/pool-options.js'
import { seeded } from '../support/seeded.js'

const nobody = { PGUSER: 'nobody' }

function resolve(connectionString: string, options: PoolOptions = {}, environment: NodeJS.ProcessEnv = nobody) {
  return resolveOptions({ connectionString, ...options }, environment)
}

function refusal(options: unknown, environment: NodeJS.ProcessEnv = nobody): InvalidArgumentError {
  try {
    resolveOptions(options as PoolOptions, environment)
  } catch (error) {
    if (error instanceof InvalidArgumentError) return error
    throw error
  }
  throw new Error('was expected to be refused, but was not')
}

function where({ connect }: ResolvedPoolOptions): string {
  return connect.endpoints.map(({ host, port }) => `${host} ${port}`).join(', ')
}

describe('a connection string', () => {
  test.each<[string, string]>([
    ['postgres://', 'localhost 5432'],
    ['postgres:///shop', 'localhost 5432'],
    ['postgresql://db/shop', 'db 5432'],
    ['postgres://app:pw@db:6432/shop', 'db 6432'],
    ['postgres://db1,db2/shop', 'db1 5432, db2 5432'],
    ['postgres://db1:1,db2:2/shop', 'db1 1, db2 2'],
    ['postgres://db1,db2:2/shop', 'db1 5432, db2 2'],
    ['postgres://db1,db2/shop?port=7', 'db1 7, db2 7'],
    ['postgres://[::1]:1,[2001:db8::2]/shop', '::1 1, 2001:db8::2 5432'],
    ['postgres://%2Fvar%2Frun%2Fpostgresql/shop', '/var/run/postgresql 5432'],
    ['postgres:///shop?host=/tmp&port=9', '/tmp 9'],
    ['socket:/var/run/postgresql?db=shop', '/var/run/postgresql 5432'],
    ['/var/run/postgresql shop', '/var/run/postgresql 5432'],
    ["host=db1,db2 port=1,2 dbname=shop user='y z'", 'db1 1, db2 2'],
    ['host = db  port=3', 'db 3'],
  ])('%s leads to %s', (text, expected) => {
    expect(where(resolve(text))).toBe(expected)
  })

  test('may have special characters in names and passwords, encoded, and an @ or # in a password as it is', () => {
    const { connect } = resolve('postgres://a%40b:p%2F%3A%25@w#rd@db/sh%20op')
    expect(connect).toMatchObject({ user: 'a@b', password: 'p/:%@w#rd', database: 'sh op' })
  })

  test.each([
    [String.raw`host=db user='y z' password='it\'s a \\ word'`, 'y z', String.raw`it's a \ word`],
    [String.raw`user=y\ z password=x\'y`, 'y z', "x'y"],
    ["user='' password=x", 'nobody', 'x'],
  ])('of pairs has the quoting of libpq: %s', (text, user, password) => {
    expect(resolve(text.replace("user='' ", '')).connect).toMatchObject({ user, password })
  })

  test('names options of the pool, with units or in milliseconds', () => {
    const { limits, options, connect } = resolve(
      'postgres://db/shop?pool_max=20&pool_idle_timeout=15m&pool_max_waiting=infinity&pool_locks_heartbeat=2s' +
        '&pool_locks_self_test=off&pool_name=orders&pool_acquire_timeout=1500&pool_statement_timeout=30s',
    )
    expect(limits).toMatchObject({ max: 20, idleTimeoutMs: 900_000, acquireTimeoutMs: 1_500 })
    expect(limits.maxWaiting).toBe(Number.POSITIVE_INFINITY)
    expect(options).toMatchObject({ name: 'orders', locks: { heartbeatMs: 2_000, selfTest: false } })
    expect(connect.startupOptions).toBe('-c statement_timeout=30000')
  })

  test("names libpq's parameters", () => {
    const { connect } = resolve(
      'postgres://db1,db2/shop?application_name=a%20b&connect_timeout=3&keepalives=0&keepalives_idle=7' +
        '&options=-c%20geqo%3Doff&target_session_attrs=read-write&load_balance_hosts=random&channel_binding=require',
    )
    expect(connect).toMatchObject({
      applicationName: 'a b',
      connectTimeoutMs: 3_000,
      keepAlive: false,
      keepAliveInitialDelayMs: 7_000,
      startupOptions: '-c geqo=off',
      targetSessionAttrs: 'read-write',
      loadBalanceHosts: 'random',
      channelBinding: 'require',
    })
  })

  test.each<[string, string]>([
    ['pool_mix=3', 'pool_mix in connectionString is not a parameter, but pool_max is'],
    ['sslmod=require', 'sslmod in connectionString is not a parameter, but sslmode is'],
    ['connection_limit=3', 'connection_limit in connectionString is not a parameter here; allowed: pool_max'],
    ['pool_max=many', 'pool_max in connectionString is "many"; allowed: a whole number, 1 or more'],
    ['pool_idle_timeout=15min', 'pool_idle_timeout in connectionString is "15min"; allowed: a number of milliseconds'],
    ['sslmode=on', 'sslmode in connectionString is "on"; allowed: one of '],
    ['port=0', 'port in connectionString is "0"; allowed: a whole number from 1 to 65535'],
    ['pool_max=3&pool_max=4', 'pool_max in connectionString is a second value for the same setting'],
    ['connect_timeout=3&pool_connect_timeout=4s', 'pool_connect_timeout in connectionString is a second value'],
    ['replication=database', 'replication in connectionString is "database"; allowed: one of '],
    ['pool_max', 'connectionString is a URL with a parameter that has no =; allowed: '],
    ['sslmode=verify-ca', "sslmode is 'verify-ca' without sslrootcert; allowed: "],
    ['sslrootcert=system&sslmode=require', "sslmode is 'require' with sslrootcert=system; allowed: "],
  ])('with %s is refused: %s', (query, message) => {
    expect(refusal({ connectionString: `postgres://db/shop?${query}` }).message).toContain(message)
  })

  test('with as many ports as are not the hosts is refused', () => {
    expect(refusal({ connectionString: 'postgres://a,b,c/shop?port=1,2' }).message).toContain(
      'a list of 2 for 3 host(s)',
    )
    expect(refusal({ host: 'a', port: [1, 2] }).message).toContain('a list of 2 for 1 host(s)')
  })
})

describe('the same setting', () => {
  test('may be said twice in the same way', () => {
    expect(resolve('postgres://app@db:5432/shop?pool_max=3', { max: 3, host: 'db', port: 5_432 }).limits.max).toBe(3)
  })

  test.each<[string, PoolOptions]>([
    ['max', { max: 4 }],
    ['host', { host: 'other' }],
    ['port', { port: 5_433 }],
    ['user', { user: 'other' }],
    ['password', { password: 'other' }],
    ['database', { database: 'other' }],
    ['ssl', { ssl: false }],
  ])('said in two ways throws: %s', (path, options) => {
    const connectionString = 'postgres://app:hunter2@db:5432/shop?pool_max=3&sslmode=require'
    const error = refusal({ connectionString, ...options })
    expect(error.option).toBe(path)
    expect(error.message).not.toContain('hunter2')
  })

  test('comes from the environment only when nothing else says it', () => {
    const environment = {
      PGHOST: 'envhost',
      PGPORT: '6000',
      PGUSER: 'envuser',
      PGPASSWORD: 'envpassword',
      PGDATABASE: 'envdb',
      PGAPPNAME: 'envapp',
      PGOPTIONS: '-c geqo=off',
      PGCONNECT_TIMEOUT: '9',
      PGTARGETSESSIONATTRS: 'primary',
      PGSSLMODE: 'require',
    }
    const all = resolveOptions({}, environment)
    expect(where(all)).toBe('envhost 6000')
    expect(all.connect).toMatchObject({
      user: 'envuser',
      password: 'envpassword',
      database: 'envdb',
      applicationName: 'envapp',
      connectTimeoutMs: 9_000,
      targetSessionAttrs: 'primary',
      startupOptions: '-c geqo=off',
      tls: { mode: 'require' },
    })
    const some = resolve('postgres://urluser@urlhost/urldb', { ssl: false, connectTimeoutMs: '2s' }, environment)
    expect(where(some)).toBe('urlhost 6000')
    expect(some.connect).toMatchObject({ user: 'urluser', database: 'urldb', connectTimeoutMs: 2_000 })
    expect(some.connect.tls.mode).toBe('disable')
  })

  test('in the environment is checked, and its variable named', () => {
    expect(refusal({}, { ...nobody, PGPORT: 'high' }).message).toBe(
      'PGPORT in the environment is "high"; allowed: a whole number from 1 to 65535, or an array of such',
    )
    expect(refusal({}, { ...nobody, PGSSLMODE: 'on' }).option).toBe('PGSSLMODE in the environment')
  })
})

describe('TLS', () => {
  test.each<[string, PoolOptions, string]>([
    ['postgres://db', {}, 'disable'],
    ['postgres://db', { ssl: true }, 'verify-full'],
    ['postgres://db', { ssl: 'require' }, 'require'],
    ['postgres://db', { ssl: {} }, 'verify-full'],
    ['postgres://db?ssl=true', {}, 'verify-full'],
    ['postgres://db?ssl=0', {}, 'disable'],
    ['postgres://db?sslmode=no-verify', {}, 'require'],
    ['postgres://db?sslmode=prefer', {}, 'prefer'],
    ['postgres://db?sslmode=require', { ssl: { ca: 'x' } }, 'require'],
    ['postgres://db?sslnegotiation=direct', {}, 'verify-full'],
  ])('of %s with %j is %s', (text, options, mode) => {
    expect(resolve(text, options).connect.tls.mode).toBe(mode)
  })

  test('is not what two things say differently', () => {
    for (const [query, ssl] of [
      ['sslmode=require', true],
      ['sslmode=verify-full', { rejectUnauthorized: false }],
      ['ssl=true', false],
      ['ssl=true', { rejectUnauthorized: false }],
    ] as const) {
      expect(refusal({ connectionString: `postgres://db?${query}`, ssl }).option).toBe('ssl')
    }
    expect(refusal({ connectionString: 'postgres://db?ssl=true&sslmode=disable' }).option).toBe('ssl')
  })
})

/** Anything that can stand in a URL when it is encoded. */
const word = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }).filter((text) => !text.includes('\0'))
/** What the server does not cut off. */
const name = word.filter((text) => Buffer.byteLength(text) <= 63)
const endpoint = fc.record({
  host: fc.oneof(
    fc.stringMatching(/^[a-z][a-z0-9-]{0,10}(\.[a-z]{2,5})?$/),
    fc.ipV4(),
    fc.ipV6(),
    fc.stringMatching(/^(\/[a-z0-9 _.-]{1,8}){1,3}$/),
  ),
  port: fc.option(fc.integer({ min: 1, max: 65_535 }), { nil: undefined }),
})

test('every URL says what went into it', () => {
  const parts = fc.record({
    user: name,
    password: fc.option(word, { nil: undefined }),
    database: name,
    endpoints: fc.array(endpoint, { minLength: 1, maxLength: 4 }),
    application: fc.option(word, { nil: undefined }),
    max: fc.option(fc.integer({ min: 1, max: 1_000 }), { nil: undefined }),
  })
  fc.assert(
    fc.property(parts, ({ user, password, database, endpoints, application, max }) => {
      const enc = encodeURIComponent
      const hosts = endpoints.map(({ host, port }) => {
        const shown = host.includes(':') ? `[${host}]` : enc(host)
        return port === undefined ? shown : `${shown}:${port}`
      })
      const query = [
        ...(application === undefined ? [] : [`application_name=${enc(application)}`]),
        ...(max === undefined ? [] : [`pool_max=${max}`]),
      ].join('&')
      const login = enc(user) + (password === undefined ? '' : `:${enc(password)}`)
      const text = `postgres://${login}@${hosts.join(',')}/${enc(database)}${query === '' ? '' : `?${query}`}`
      const { connect, limits } = resolve(text)
      expect(connect).toMatchObject({ user, database })
      expect(connect.password).toBe(password)
      expect(connect.applicationName).toBe(application)
      expect(limits.max).toBe(max ?? 10)
      expect(connect.endpoints).toEqual(endpoints.map(({ host, port }) => ({ host, port: port ?? 5_432 })))
      const quoted = (value: string): string => `'${value.replace(/[\\']/g, '\\$&')}'`
      const pairs = `user=${quoted(user)} dbname = ${quoted(database)} application_name=${quoted(application ?? 'x')}`
      expect(resolve(pairs).connect).toMatchObject({ user, database, applicationName: application ?? 'x' })
    }),
    seeded(500),
  )
})

test('a password never appears in an error, however broken the string around it is', () => {
  const junk = fc.string({ unit: fc.constantFrom(...':/@?#[]&=%,. \'"\\\0x7aZ-'), maxLength: 6 })
  const secret = 'hunter2'
  const broken = fc
    .tuple(
      fc.constantFrom(
        'postgres://app:',
        'postgresql://',
        'socket://app:',
        'host=db password=',
        '//a:',
        'https://u:',
        'app:',
      ),
      junk,
      junk,
      fc.constantFrom('@db/shop', '@db:5432/shop?pool_max=1', '@db:x/shop', ' host=x', '@[::1]/x?nope=1', ''),
      fc.constantFrom({}, { password: 'other' }, { host: 'elsewhere' }, { max: 7 }),
    )
    // Without an @ a URL of PostgreSQL has no password: what follows the colon is a port, and parameters are named.
    .filter(([start, before, after, end]) => !start.startsWith('postgres') || `${before}${after}${end}`.includes('@'))
    .filter(([start, before]) => !(start === 'postgresql://' && !before.includes(':')))
    // Behind the last @ and a ?, it is the name of a parameter, which may be shown; the examples may be a cut password.
    .filter(([, before, after, end]) => !/@.*\?/.test(before) || `${after}${end}`.includes('@'))
  fc.assert(
    fc.property(broken, ([start, before, after, end, options]) => {
      try {
        resolveOptions({ connectionString: `${start}${before}${secret}${after}${end}`, ...options }, nobody)
      } catch (error) {
        expect(error).toBeInstanceOf(InvalidArgumentError)
        expect(JSON.stringify([(error as Error).message, (error as Error).stack, error])).not.toContain(secret)
        expect((error as Error).cause).toBeUndefined()
      }
    }),
    {
      ...seeded(3_000),
      examples: [
        [['postgres://app:', '@?', '=', '', {}]],
        [['postgres://app:', '@:?', '=', '', {}]],
        [['postgres://app:', '@x?', '=', '', {}]],
        [['postgres://app:', 'x@?', '=', '', {}]],
        [['socket://app:', '@/x?', '=', '', {}]],
        [['socket://app:', '@/', ',', '', {}]],
      ],
    },
  )
})

test('every bad value of every option throws, and names the option', () => {
  const bad: readonly unknown[] = [null, Number.NaN, -1, Symbol('x'), 10n, '', '5 parsecs', [], () => 1, new Date()]
  for (const [path, kind] of Object.entries(optionTable)) {
    const refused = bad.filter((value) => kind.accept(value) === undefined)
    expect(refused.length, path).toBeGreaterThan(3)
    for (const value of refused) {
      const [first = '', second] = path.split('.')
      const error = refusal({ [first]: second === undefined ? value : { [second]: value } })
      expect(error.option, path).toBe(path)
      expect(error.message.startsWith(`${path} is `), error.message).toBe(true)
      expect(error.message).toContain(`; allowed: ${kind.allowed}`)
    }
  }
})

test('every option that a text can say has a name of its own in URLs', () => {
  const names = Object.keys(optionTable).flatMap((path) => urlNameOf(path) ?? [])
  expect(new Set(names).size).toBe(names.length)
  expect(names).toContain('pool_retry_budget_per_success')
  for (const name of names) expect(name).toMatch(/^pool(_[a-z0-9]+)+$/)
})
