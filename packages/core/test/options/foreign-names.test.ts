import { describe, expect, test } from 'vitest'
import { InvalidArgumentError } from '../../src/errors/lifeguard-error.js'
import { urlNameOf } from '../../src/options/connection-string.js'
import { optionTable, type PoolOptions } from '../../src/options/option-schema.js'
import { resolveOptions } from '../../src/options/pool-options.js'

const nobody = { PGUSER: 'nobody' }

const resolve = (options: unknown, environment: NodeJS.ProcessEnv = nobody) =>
  resolveOptions(options as PoolOptions, environment)

function refusal(options: unknown, environment: NodeJS.ProcessEnv = nobody): string {
  try {
    resolve(options, environment)
  } catch (error) {
    if (error instanceof InvalidArgumentError) return error.message
    throw error
  }
  throw new Error('was expected to be refused, but was not')
}

describe('what pg takes in another form is taken', () => {
  test.each<[PoolOptions['port'], readonly number[]]>([
    ['5432', [5_432]],
    ['6432', [6_432]],
    ['5432,6432', [5_432, 6_432]],
    [
      ['5432', 6_432],
      [5_432, 6_432],
    ],
  ])('a port as text: %j', (port, expected) => {
    const host = expected.map((_, at) => `db${at}`)
    expect(resolve({ host, port }).connect.endpoints.map((endpoint) => endpoint.port)).toEqual(expected)
    const said = { connectionString: `postgres://${host.map((one, at) => `${one}:${expected[at]}`).join()}/shop`, port }
    expect(resolve(said).connect.endpoints.map((endpoint) => endpoint.port)).toEqual(expected)
  })

  test('maxUses: Infinity, in a URL too', () => {
    expect(resolve({ maxUses: Number.POSITIVE_INFINITY }).limits.maxUses).toBe(Number.POSITIVE_INFINITY)
    const connectionString = 'postgres://db/shop?pool_max_uses=Infinity'
    expect(resolve({ connectionString }).limits.maxUses).toBe(Number.POSITIVE_INFINITY)
  })

  test.each(['pg://app:pw@db:6432/shop', 'PG://app:pw@db:6432/shop', 'PostgreSQL://app:pw@db:6432/shop'])(
    'the scheme of %s',
    (connectionString) => {
      const { user, password, database, endpoints } = resolve({ connectionString }).connect
      expect({ user, password, database, endpoints }).toEqual({
        user: 'app',
        password: 'pw',
        database: 'shop',
        endpoints: [{ host: 'db', port: 6_432 }],
      })
    },
  )

  test.each<[unknown, string | undefined, string]>([
    ['true', undefined, 'verify-full'],
    ['no-verify', undefined, 'require'],
    ['require', undefined, 'require'],
    ['prefer', 'ssl=prefer', 'prefer'],
    ['no-verify', 'ssl=no-verify', 'require'],
    ['no-verify', 'sslmode=no-verify', 'require'],
    [undefined, 'ssl=require', 'require'],
    [undefined, 'ssl=disable', 'disable'],
    [undefined, 'ssl=verify-full', 'verify-full'],
  ])('ssl: %j beside %s is %s', (ssl, query, mode) => {
    const { tls } = resolve({ ssl, connectionString: `postgres://db/shop?${query ?? ''}` }).connect
    expect(tls.mode).toBe(mode)
    const isUnverified = ssl === 'no-verify' || query?.includes('no-verify') === true
    expect(tls.options.rejectUnauthorized).toBe(isUnverified ? false : undefined)
  })

  test.each<[unknown, string]>([
    ['no-verify', 'sslmode=require'],
    ['no-verify', 'sslmode=disable'],
    ['no-verify', 'ssl=true'],
    [true, 'ssl=no-verify'],
    [undefined, 'ssl=no-verify&sslmode=disable'],
    [undefined, 'ssl=disable&sslmode=require'],
  ])('ssl: %j beside %s is a contradiction', (ssl, query) => {
    expect(refusal({ ssl, connectionString: `postgres://db/shop?${query}` })).toMatch(/^ssl is /)
  })
})

describe('a URL of something else is refused by its scheme, without showing any of it', () => {
  test.each([
    ['mysql://app:hunter2@db/shop', 'not a URL of PostgreSQL (its scheme is mysql)'],
    ['postgresql+asyncpg://app:hunter2@db/shop', 'not a URL of PostgreSQL (its scheme is postgresql+asyncpg)'],
    ['prisma+postgres://x?api_key=hunter2', 'not a URL of PostgreSQL (its scheme is prisma+postgres)'],
    ['jdbc:postgresql://db/shop?password=hunter2', 'not a URL of PostgreSQL (its scheme is jdbc:postgresql)'],
    ['"postgres://app:hunter2@db/shop"', 'in quotes, which are not part of it'],
    ["'postgres://app:hunter2@db/shop'", 'in quotes, which are not part of it'],
  ])('%s', (connectionString, what) => {
    const message = refusal({ connectionString })
    expect(message.startsWith(`connectionString is ${what}; allowed: postgres://user:password@`)).toBe(true)
    expect(message).not.toContain('hunter2')
  })
})

describe('a name that others have for it is answered with the name here, in one line', () => {
  test.each<[string, string]>([
    ['pgbouncer', 'pool_statement_cache_size'],
    ['pgBouncer', 'pool_pipelining'],
    ['connection_limit', 'pool_max'],
    ['connectionLimit', 'pool_max'],
    ['pool_timeout', 'pool_acquire_timeout'],
    ['poolTimeout', 'pool_acquire_timeout'],
    ['socket_timeout', 'pool_statement_timeout'],
    ['sslaccept', 'sslmode'],
    ['sslidentity', 'sslcert'],
    ['statement_cache_size', 'pool_statement_cache_size'],
    ['statementCacheSize', 'pool_statement_cache_size'],
    ['max', 'pool_max'],
    ['max_uses', 'pool_max_uses'],
    ['idleTimeoutMs', 'pool_idle_timeout'],
    ['idleTimeoutMillis', 'pool_idle_timeout'],
    ['idle_timeout', 'pool_idle_timeout'],
    ['poolSize', 'pool_max'],
    ['statement_timeout', 'pool_statement_timeout'],
    ['idle_in_transaction_session_timeout', 'pool_idle_in_transaction_timeout'],
    ['query_timeout', 'pool_statement_timeout'],
    ['lock_timeout', 'options=-clock_timeout%3D500ms'],
    ['binary', 'read as text'],
    ['pipeline', 'pool_pipelining'],
    ['encoding', 'UTF8'],
    ['prepare', 'pool_statement_cache_size'],
    ['username', 'user'],
    ['requiressl', 'sslmode=require'],
  ])('%s in a URL', (name, here) => {
    const message = refusal({ connectionString: `postgres://app@db/shop?${name}=1` })
    expect(message).toMatch(new RegExp(`^${name} in connectionString is not a parameter here; allowed: `))
    expect(message).toContain(here)
    expect(message).not.toMatch(/\{\w+\}|\n/)
    expect(message.length).toBeLessThan(250)
    const pairs = refusal({ connectionString: `host=db ${name}=1` })
    expect(pairs).toBe(message)
  })

  test.each<[string, string]>([
    ['verify', 'onConnect'],
    ['log', 'pool.on'],
    ['Client', 'onConnect'],
    ['Promise', 'nothing'],
    ['allowExitOnIdle', 'end()'],
    ['client_encoding', 'UTF8'],
    ['binary', 'types'],
    ['pipeline', 'pipelining'],
    ['poolSize', 'max'],
    ['query_timeout', 'timeoutMs'],
    ['lock_timeout', 'lock_timeout'],
    ['idle_in_transaction_session_timeout', 'idleInTransactionTimeoutMs'],
    ['connect_timeout', 'connectTimeoutMs'],
    ['connectTimeout', 'connectTimeoutMs'],
    ['idleTimeoutMillis', 'idleTimeoutMs'],
    ['stream', 'ssl'],
    ['enableChannelBinding', 'channelBinding'],
  ])("pg's %s as a field", (name, here) => {
    for (const value of [1, 'x', true, () => undefined]) {
      const message = refusal({ [name]: value })
      expect(message).toMatch(new RegExp(`^${name} is an option of pg.Pool; allowed: here it is `))
      expect(message.slice(name.length)).toContain(here)
      expect(message.length).toBeLessThan(200)
    }
  })

  test.each<[string, string]>([
    ['pgbouncer', 'statementCacheSize'],
    ['connection_limit', 'max'],
    ['connectionLimit', 'max'],
    ['pool_timeout', 'acquireTimeoutMs'],
    ['socket_timeout', 'statementTimeoutMs'],
    ['sslmode', 'ssl'],
    ['sslaccept', 'sslmode'],
    ['prepare', 'statementCacheSize'],
    ['url', 'connectionString'],
    ['dbname', 'database'],
    ['idle_timeout', 'idleTimeoutMs'],
  ])('%s as a field', (name, here) => {
    const message = refusal({ [name]: 1 })
    expect(message).toMatch(new RegExp(`^${name} is not an option here; allowed: here it is `))
    expect(message.slice(name.length)).toContain(here)
    expect(message.length).toBeLessThan(200)
  })

  test('no name of an option is among them', () => {
    for (const path of Object.keys(optionTable).filter((one) => !one.includes('.'))) {
      try {
        resolve({ [path]: Symbol('x') })
      } catch (error) {
        expect((error as Error).message).not.toMatch(/here it is/)
      }
      const name = urlNameOf(path)
      if (name === undefined) continue
      try {
        resolve({ connectionString: `postgres://db/shop?${name}=!` })
      } catch (error) {
        expect((error as Error).message).not.toMatch(/not a parameter/)
      }
    }
  })

  test('in the environment a promise that cannot be kept is refused, with its variable', () => {
    expect(refusal({}, { ...nobody, PGGSSENCMODE: 'require' })).toMatch(/^PGGSSENCMODE in the environment is "require"/)
    expect(refusal({}, { ...nobody, PGCLIENTENCODING: 'LATIN1' })).toMatch(/^PGCLIENTENCODING in the environment is /)
    expect(resolve({}, { ...nobody, PGGSSENCMODE: 'prefer', PGCLIENTENCODING: 'utf8' }).connect.user).toBe('nobody')
  })
})
