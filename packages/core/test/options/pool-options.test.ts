import { describe, expect, test } from 'vitest'
import { createPool } from '../../src/create-pool.js'
import { InvalidArgumentError } from '../../src/errors/lifeguard-error.js'
import { defaultsOf } from '../../src/options/option-kinds.js'
import { limitFields, type PoolOptions } from '../../src/options/option-schema.js'
import { resolveOptions } from '../../src/options/pool-options.js'

const defaultPoolLimits = defaultsOf(limitFields)
const limitsOf = (options: PoolOptions): unknown => resolveOptions(options).limits

function refusal(options: unknown): InvalidArgumentError {
  try {
    limitsOf(options as PoolOptions)
  } catch (error) {
    if (error instanceof InvalidArgumentError) return error
    throw error
  }
  throw new Error('was expected to be refused, but was not')
}

describe('the options of a pool', () => {
  test('may all be left out, or undefined', () => {
    expect(limitsOf({})).toEqual(defaultPoolLimits)
    const nothing = Object.fromEntries(Object.keys(defaultPoolLimits).map((name) => [name, undefined]))
    expect(limitsOf(nothing)).toEqual(defaultPoolLimits)
  })

  test('are taken as they are where they are right', () => {
    const limits = {
      max: 3,
      min: 3,
      maxWaiting: 0,
      acquireTimeoutMs: Number.POSITIVE_INFINITY,
      idleTimeoutMs: Number.POSITIVE_INFINITY,
      maxLifetimeMs: 1.5,
      maxUses: 7,
      validateAfterIdleMs: 0,
      leakDetectionMs: 1,
      overload: { targetMs: 5, intervalMs: 5 },
    }
    const others = { host: 'db', port: 5432, user: 'app', password: () => 'secret', database: 'shop', name: 'shop' }
    expect(limitsOf({ ...limits, ...others })).toEqual(limits)
  })

  test.each([
    'postgres://app:secret@db:5432/shop',
    'postgresql://db/shop?sslmode=require',
    'socket:/var/run/postgresql?db=shop',
    '/var/run/postgresql shop',
  ])('take %s as a connection string', (connectionString) => {
    expect(limitsOf({ connectionString })).toEqual(defaultPoolLimits)
  })

  test.each<[string, unknown, string]>([
    ['max', 0, '0'],
    ['max', -1, '-1'],
    ['max', 1.5, '1.5'],
    ['max', '10', '"10"'],
    ['max', Number.NaN, 'NaN'],
    ['max', Number.POSITIVE_INFINITY, 'Infinity'],
    ['max', null, 'null'],
    ['min', -1, '-1'],
    ['min', 11, '11'],
    ['min', true, 'true'],
    ['maxWaiting', -1, '-1'],
    ['maxWaiting', 2.5, '2.5'],
    ['maxUses', -1, '-1'],
    ['maxUses', Number.NEGATIVE_INFINITY, '-Infinity'],
    ['maxUses', 'Infinity', '"Infinity"'],
    ['port', 0, '0'],
    ['port', 65_536, '65536'],
    ['port', '5432x', '"5432x"'],
    ['port', '', '""'],
    ['port', '65536', '"65536"'],
    ['port', ' 5432', '" 5432"'],
    ['port', 54.32, '54.32'],
    ...[
      'acquireTimeoutMs',
      'idleTimeoutMs',
      'maxLifetimeMs',
      'validateAfterIdleMs',
      'leakDetectionMs',
      'connectTimeoutMs',
      'keepAliveInitialDelayMs',
      'statementTimeoutMs',
      'idleInTransactionTimeoutMs',
    ].flatMap((name): [string, unknown, string][] => [
      [name, -1, '-1'],
      [name, '5 seconds', '"5 seconds"'],
      [name, '-5s', '"-5s"'],
      [name, '5', '"5"'],
      [name, Number.NaN, 'NaN'],
      [name, null, 'null'],
    ]),
  ])('refuse %s: %j, and say what is allowed', (name, value, shown) => {
    const error = refusal({ [name]: value })
    expect(error.option).toBe(name)
    expect(error.message.startsWith(`${name} is ${shown}; allowed: a `)).toBe(true)
    expect(error).toMatchObject({ code: 'LIFEGUARD_INVALID_OPTION', retryable: false })
  })

  test('refuse a min above the max, and name the max', () => {
    expect(refusal({ max: 4, min: 5 }).message).toBe('min is 5; allowed: a whole number from 0 to max (4)')
  })

  test.each<[string, string]>([
    ['idleTimeoutMillis', 'idleTimeoutMs'],
    ['connectionTimeoutMillis', 'acquireTimeoutMs'],
    ['maxLifetimeSeconds', 'maxLifetimeMs'],
    ['statement_timeout', 'statementTimeoutMs'],
    ['idle_in_transaction_session_timeout', 'idleInTransactionTimeoutMs'],
    ['lock_timeout', 'settings'],
    ['query_timeout', 'timeoutMs'],
    ['keepAliveInitialDelayMillis', 'keepAliveInitialDelayMs'],
    ['application_name', 'applicationName'],
    ['fallback_application_name', 'name'],
    ['allowExitOnIdle', 'end()'],
    ['options', 'settings'],
  ])("know pg.Pool's %s, and say that here it is %s", (name, here) => {
    const error = refusal({ [name]: 1 })
    expect(error.option).toBe(name)
    expect(error.message).toContain('an option of pg.Pool')
    expect(error.message).toContain(here)
  })

  test('refuse a name they do not know, with the one that was meant and those they know', () => {
    const error = refusal({ maxConnections: 5 })
    expect(error.option).toBe('maxConnections')
    expect(error.message).toContain('maxConnections is not an option, but max is; allowed: acquireTimeoutMs, ')
    expect(refusal({ locks: { heartbeat: 5 } }).message).toBe(
      'locks.heartbeat is not an option, but locks.heartbeatMs is; allowed: heartbeatMs, maxConnections, selfTest',
    )
    expect(refusal({ zebra: 5 }).message).toMatch(/^zebra is not an option; allowed: acquireTimeoutMs, /)
  })

  test.each<[string, number]>([
    ['500ms', 500],
    ['15s', 15_000],
    ['1.5s', 1_500],
    ['15m', 900_000],
    ['1h', 3_600_000],
  ])('take %s as a duration', (text, ms) => {
    expect(limitsOf({ idleTimeoutMs: text as never })).toEqual({ ...defaultPoolLimits, idleTimeoutMs: ms })
    expect(resolveOptions({ locks: { heartbeatMs: text as never } }).options.locks).toEqual({ heartbeatMs: ms })
  })

  test.each([[null], [undefined], ['postgres://app:secret@db/shop'], [42]])(
    'refuse %s in place of an object',
    (options) => {
      expect(refusal(options).message).toContain('allowed: an object')
    },
  )
})

describe('a password', () => {
  test.each<[unknown]>([
    [{ connectionString: 'mysql://app:hunter2@db/shop' }],
    [{ connectionString: 'https://app:hunter2@db/shop' }],
    [{ connectionString: 'app:hunter2@db/shop' }],
    [{ connectionString: ':hunter2@db/shop' }],
    [{ connectionString: 'host=db user=app password=hunter2 password=hunter3' }],
    [{ connectionString: 'host=db password=correct hunter2=horse' }],
    [{ connectionString: "host=db password='hunter2" }],
    [{ connectionString: 'postgres://app:x?hunter2@db/shop' }],
    [{ connectionString: 'postgres://app:hun/hunter2@db/shop' }],
    [{ connectionString: 'postgres://app:x%hunter2@db/shop' }],
    [{ connectionString: 'postgres://app@db/shop?password=hunter2', password: 'other' }],
    [{ connectionString: 'postgres://app@db/shop?sslpassword=hunter2&pool_max=x' }],
    [{ connectionString: ['postgres://app:hunter2@db/shop'] }],
    [{ connectionString: { password: 'hunter2' } }],
    [{ passwd: 'hunter2' }],
    [{ pgpassword: 'hunter2' }],
    [{ password: 'hunter2', max: 0 }],
    [{ connectionString: 'postgres://app:hunter2@db/shop', port: -1 }],
    ['postgres://app:hunter2@db/shop'],
  ])('never stands in the message about %j', (options) => {
    const error = refusal(options)
    for (const text of [error.message, error.option, JSON.stringify(error), String(error.stack).split('\n')[0]]) {
      expect(text).not.toContain('hunter2')
    }
  })
})

test('a connection string that is none is refused without showing any of it', () => {
  for (const connectionString of [
    '//app:hunter2@db/shop',
    'hunter2@db/shop',
    'postgres://app:hunter2@db:notaport/shop',
    'mysql://app:hunter2@db/shop',
  ]) {
    const make = (): unknown => createPool({ connectionString })
    expect(make).toThrow(/^connectionString is /)
    expect(make).not.toThrow(/hunter2/)
  }
})

test('durations that cannot mean what they say are refused', () => {
  for (const [name, value] of [
    ['maxLifetimeMs', 0],
    ['connectTimeoutMs', Number.POSITIVE_INFINITY],
    ['statementTimeoutMs', Number.POSITIVE_INFINITY],
    ['retryBudget', { reserve: -1 }],
    ['settings', { work_mem: null }],
    ['name', ''],
  ] as const) {
    expect(() => limitsOf({ [name]: value } as never)).toThrow(new RegExp(`^${name}`))
  }
})
