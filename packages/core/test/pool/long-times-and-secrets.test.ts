import { describe, expect, test } from 'vitest'
import { clientConfig } from '../../src/connection/connect/connector.js'
import { InvalidArgumentError } from '../../src/errors/lifeguard-error.js'
import type { PoolOptions } from '../../src/options/option-schema.js'
import { resolveOptions } from '../../src/options/pool-options.js'

function refusal(options: PoolOptions, environment: NodeJS.ProcessEnv = {}): InvalidArgumentError {
  try {
    resolveOptions(options, environment)
  } catch (error) {
    if (error instanceof InvalidArgumentError) return error
    throw error
  }
  throw new Error('was expected to be refused, but was not')
}

describe('times that are longer than a timer of Node', () => {
  test.each([
    [{ statementTimeoutMs: '720h' }, 'statementTimeoutMs'],
    [{ idleInTransactionTimeoutMs: 2 ** 31 }, 'idleInTransactionTimeoutMs'],
    [{ keepAliveInitialDelayMs: '10h' }, 'keepAliveInitialDelayMs'],
    [{ connectionString: 'postgres://h/d?keepalives_idle=32768' }, 'keepalives_idle in connectionString'],
  ] as const)('are refused where server or system cannot hold them: %o', (options, name) => {
    expect(refusal(options).option).toBe(name)
  })

  test('are taken everywhere else, and `pg` is never given one that would fire at once', () => {
    const ms = '720h'
    const { connect, limits } = resolveOptions({
      connectionString: 'postgres://h/d?sslmode=disable',
      connectTimeoutMs: ms,
      acquireTimeoutMs: ms,
      idleTimeoutMs: ms,
      maxLifetimeMs: ms,
      leakDetectionMs: ms,
    })
    expect(limits).toMatchObject({ acquireTimeoutMs: 2_592_000_000, idleTimeoutMs: 2_592_000_000 })
    const { connectionTimeoutMillis } = clientConfig(connect, 'a', { host: 'h', port: 1 }, false)
    expect(connectionTimeoutMillis).toBe(2 ** 31 - 1)
  })

  test('and ones below a millisecond do not become the server’s 0, which is no bound', () => {
    expect(resolveOptions({ statementTimeoutMs: 0.4 }, {}).connect.startupOptions).toBe('-c statement_timeout=1')
    expect(resolveOptions({ statementTimeoutMs: 0 }, {}).connect.startupOptions).toBe('-c statement_timeout=0')
  })
})

describe('a connection string', () => {
  test.each(['\n', '\r\n', ' ', '\t\n', '\ufeff'])('is taken without %j around it', (space) => {
    const { connect } = resolveOptions({ connectionString: `${space}postgres://u:p@h/shop${space}` }, {})
    expect(connect).toMatchObject({ user: 'u', password: 'p', database: 'shop' })
  })

  test('keeps a space that is said at the end of a value', () => {
    const pairs = resolveOptions({ connectionString: String.raw`host=h dbname=d user=u password=p\ ` }, {})
    expect(pairs.connect.password).toBe('p ')
    expect(resolveOptions({ connectionString: 'postgres://u:p%20@h/d%20' }, {}).connect.database).toBe('d ')
  })

  test.each([
    'postgres://u:p&hunter2@h/d?pool_max=x',
    'postgres://h/d?user=u&password=p&hunter2=3',
    'postgres://h/d?password=p&pool_max=hunter2',
    'postgres://h/d?password=p&hunter2',
    'postgres://h/d?sslpassword=p&hunter2=x',
    'postgres://h/d?sslkey=a&sslpassword=p&sslmode=hunter2',
    'postgres://h/d?passwor%64=p&hunter2=1',
    'socket:/tmp?password=p&hunter2=1',
    'host=h sslpassword=p hunter2=1',
  ])('never shows what may be a piece of a password: %#', (connectionString) => {
    expect(String(refusal({ connectionString }).stack)).not.toContain('hunter2')
  })
})

describe('an encoding that is not read', () => {
  test('is refused, and not dropped, in the environment as well', () => {
    expect(refusal({}, { PGCLIENTENCODING: 'LATIN1' }).option).toBe('PGCLIENTENCODING in the environment')
    expect(refusal({}, { PGOPTIONS: '-c client_encoding=LATIN1' }).message).toContain("allowed: 'UTF8'")
    expect(refusal({ connectionString: 'postgres://h/d?client_encoding=LATIN1' }).message).toContain('UTF8')
    expect(refusal({ settings: { client_encoding: 'SQL_ASCII' } }).option).toBe('settings.client_encoding')
  })

  test.each(['client_encoding', 'Client_Encoding', 'CLIENT_ENCODING', 'client-encoding', 'Client-Encoding'])(
    'is refused in each spelling, and each way to say it: %s',
    (name) => {
      for (const encoding of ['LATIN1', 'SJIS', 'SQL_ASCII', 'UTF16', 'default', '']) {
        expect(refusal({ settings: { [name]: encoding } }).option).toBe(`settings.${name}`)
        for (const said of [`-c ${name}=${encoding}`, `-c${name}=${encoding}`, `--${name}=${encoding}`]) {
          const url = `postgres://h/d?options=${encodeURIComponent(said)}`
          expect(refusal({ connectionString: url }).message, said).toContain("'UTF8'")
          expect(refusal({ connectionString: `host=h options='${said}'` }).message, said).toContain("'UTF8'")
          expect(refusal({}, { PGOPTIONS: said }).message, said).toContain("'UTF8'")
        }
      }
      for (const encoding of ['UTF8', 'utf-8', 'Unicode']) {
        expect(resolveOptions({ settings: { [name]: encoding } }, {}).connect.startupOptions).toContain(encoding)
        resolveOptions({}, { PGOPTIONS: `--${name}=${encoding}` })
      }
    },
  )

  test('and a password with a zero byte, which would end it early, is refused unseen', () => {
    expect(refusal({ password: 'hunter2\0x' }).message).not.toContain('hunter2')
  })
})
