import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { beforeEach, describe, expect, test } from 'vitest'
import { createBreaker, createPool, createPools, InvalidArgumentError, type Pool, sql } from '../../src/index.js'
import { endPools, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table entry (id int primary key, version int not null)' })

let pool: Pool
beforeEach(() => {
  pool = testPool(database.url)
})

const work = async (): Promise<string> => 'ran'
type Call = (options: never) => unknown

/** Every operation with options, an option that it does not have, and what it says. */
const operations: readonly (readonly [name: string, call: Call, wrong: object, message: string])[] = [
  ['query', (o) => pool.query('select 1', [], o), { timeout: 5 }, 'timeout is not an option here, but timeoutMs is'],
  ['query of an object', (o) => pool.query({ text: 'select 1' }, o), { timeoutms: 5 }, 'but timeoutMs is'],
  ['batch', (o) => pool.batch([{ text: 'select 1' }], o), { timeout: 5 }, 'but timeoutMs is'],
  ['batchTogether', (o) => pool.batchTogether([() => pool.query('select 1')], o), { abort: 1 }, 'abort'],
  ['stream', (o) => pool.stream('select 1', [], o).next(), { batchsize: 5 }, 'but batchSize is'],
  ['copyFrom', (o) => pool.copyFrom({ table: 'entry' }, [], o), { progress: 1 }, 'progress'],
  ['the target of copyFrom', (o) => pool.copyFrom(o, []), { table: 'entry', delimeter: ';' }, 'but delimiter is'],
  ['copyTo', async (o) => pool.copyTo({ table: 'entry' }, o), { headers: true }, 'but header is'],
  ['the origin of copyTo', async (o) => pool.copyTo(o), { table: 'entry', column: ['id'] }, 'but columns is'],
  ['notify', (o) => pool.notify('a', '', o), { timeout: 5 }, 'but timeoutMs is'],
  ['listen', (o) => pool.listen('a', () => undefined, o), { ongap: () => undefined }, 'but onGap is'],
  ['acquire', (o) => pool.acquire(o), { timeout: 5 }, 'but timeoutMs is'],
  ['withTransaction', (o) => pool.withTransaction(work, o), { isolationLevel: 'serializable' }, 'but isolation is'],
  ['withTransaction', (o) => pool.withTransaction(work, o), { rol: 'app' }, 'rol is not an option here, but role is'],
  ['withTransaction', (o) => pool.withTransaction(work, o), { setings: {} }, 'but settings is'],
  ['retry', (o) => pool.withTransaction(work, { retry: o }), { attempt: 3 }, 'retry.attempt is not an option here'],
  ['backoff', (o) => pool.withTransaction(work, { retry: { backoff: o } }), { base: 3 }, 'retry.backoff.base'],
  ['proveCommit', (o) => pool.withTransaction(work, { proveCommit: o }), { table: 'a' }, 'proveCommit.table'],
  ['beginTransaction', (o) => pool.beginTransaction(o), { retry: false }, 'retry is not an option here'],
  [
    'beginTransaction of a connection',
    async (o) => {
      await using connection = await pool.acquire()
      connection.beginTransaction(o)
    },
    { isolationLevel: 'serializable' },
    'but isolation is',
  ],
  [
    'a nested transaction',
    (o) => pool.withTransaction(() => pool.withTransaction(work, o)),
    { rol: 'app' },
    'but role is',
  ],
  ['a nested tx', (o) => pool.withTransaction((tx) => tx.withTransaction(work, o)), { rol: 'app' }, 'but role is'],
  ['withLock', (o) => pool.withLock('a', work, o), { wait: 5 }, 'wait is not an option here, but waitMs is'],
  [
    'withTransaction of a lock',
    (o) => pool.withLock('a', (lock) => lock.withTransaction(work, o)),
    { isolationLevel: 'serializable' },
    'but isolation is',
  ],
  ['tryWithLock', (o) => pool.tryWithLock('a', work, o), { waitMs: 5 }, 'waitMs is not an option here'],
  ['acquireLock', (o) => pool.acquireLock('a', o), { scope: 'transaction' }, 'scope is not an option here'],
  ['withSemaphore', (o) => pool.withSemaphore('a', 2, work, o), { mode: 'shared' }, 'mode is not an option here'],
  ['elect', async (o) => pool.elect('a', work, o), { onerror: work }, 'but onError is'],
  ['withMigrationLock', (o) => pool.withMigrationLock(work, o), { nam: 'b' }, 'but name is'],
  ['locks', (o) => pool.listLocks(o), { timeout: 5 }, 'but timeoutMs is'],
  ['withOptimisticRetry', (o) => pool.withOptimisticRetry(work, o), { attempt: 5 }, 'but attempts is'],
  [
    'updateVersioned',
    (o) => pool.updateVersioned('entry', { id: 1, version: 1 }, { id: 2 }, o),
    { versionField: 'v' },
    'versionField is not an option here',
  ],
  ['read', (o) => pool.read(work, o), { maxLag: 5 }, 'maxLag is not an option here, but maxLagMs is'],
  ['withDeadline', (o) => pool.withDeadline(work, o as never), { sgnal: 5 }, 'but signal is'],
  ['fanOut', (o) => pool.fanOut({ work }, o), { timeout: 5 }, 'but timeoutMs is'],
  ['forEachConcurrent', (o) => pool.forEachConcurrent([1], work, o), { concurency: 5 }, 'but concurrency is'],
  [
    'withFallback',
    async (o) => pool.withFallback('a', work, o),
    { cache: new Map(), ttl: 5 },
    'ttl is not an option here, but ttlMs is',
  ],
  ['health', (o) => pool.health(o), { timeout: 5 }, 'but timeoutMs is'],
  ['flush', (o) => pool.evict('idle', o), { timeout: 5 }, 'but timeoutMs is'],
  ['pause', (o) => pool.pause(o), { timeout: 5 }, 'but timeoutMs is'],
  ['resize', async (o) => pool.resize(o), { maximum: 5 }, 'but max is'],
  ['end', (o) => pool.end(o), { timeout: 5 }, 'but timeoutMs is'],
  ['createPools', async (o) => createPools({}, o), { buget: { max: 1 } }, 'but budget is'],
]

class WithGetter {
  get nonsense(): number {
    return 1
  }
}

describe('an option that an operation does not have', () => {
  test.each(operations)('is refused by %s', async (_, call, wrong, message) => {
    const refused = await Promise.resolve()
      .then(() => call(wrong as never))
      .then(
        () => undefined,
        (error: unknown) => error,
      )
    expect(refused).toBeInstanceOf(InvalidArgumentError)
    expect((refused as Error).message).toContain(message)
    expect(pool.stats().pool.active).toBe(0)
  })

  test.each([null, 'serializable', 5, [], () => undefined, AbortSignal.timeout(1_000)])(
    'nor is %s taken for options',
    async (options) => {
      await expect(pool.query('select 1', [], options as never)).rejects.toBeInstanceOf(InvalidArgumentError)
      await expect(pool.withTransaction(work, options as never)).rejects.toBeInstanceOf(InvalidArgumentError)
      await expect(pool.withLock('a', work, options as never)).rejects.toBeInstanceOf(InvalidArgumentError)
    },
  )

  /** What would be dropped in silence, or taken for no options at all. */
  const odd: readonly (readonly [string, () => unknown])[] = [
    ['a name that is a symbol', () => ({ [Symbol('nonsense')]: 1 })],
    ['a hidden name', () => Object.defineProperty({}, 'nonsense', { value: 1 })],
    ['an inherited name', () => Object.create({ nonsense: 1 })],
    [
      'a hidden name of what it inherits from',
      () => Object.create(Object.defineProperty({}, 'nonsense', { value: 1 })),
    ],
    ['a getter of its class', () => new WithGetter()],
    ['a name of every object', () => ({ toString: 1 })],
    ['__proto__ out of JSON', () => JSON.parse('{"__proto__": {"timeoutMs": 1}}')],
    ['a Map', () => new Map()],
    ['a Date', () => new Date()],
    ['an array', () => []],
    ['null', () => null],
  ]

  test.each(odd)('nor is %s', async (_, make) => {
    for (const [name, call] of operations) {
      const said = await Promise.resolve()
        .then(() => call(make() as never))
        .then(
          () => 'ran',
          (error: unknown) => error,
        )
      expect(said, name).toBeInstanceOf(InvalidArgumentError)
    }
  })

  test('is none where it is a method of a class, whose fields count however they are inherited', async () => {
    class Options {
      readonly settings = { 'app.tenant': 'a' }
      get timeoutMs(): number {
        return 5_000
      }
      describe(): string {
        return 'no option'
      }
    }
    const given = new Options()
    const tenant = "select current_setting('app.tenant', true) as tenant, current_setting('role') as role"
    const { rows } = await pool.withTransaction((tx) => tx.query(tenant), given)
    expect(rows).toEqual([{ tenant: 'a', role: 'none' }])
    const inherited = Object.create({ settings: { 'app.tenant': 'b' } })
    const held = await pool.withLock('a', (lock) => lock.withTransaction((tx) => tx.query(tenant), inherited))
    expect(held.rows).toEqual([{ tenant: 'b', role: 'none' }])
    const waits = Object.create({ waitMs: 0, timeoutMs: 5_000, signal: AbortSignal.abort() })
    await expect(pool.withMigrationLock(work, waits)).rejects.toMatchObject({ code: 'LIFEGUARD_ABORTED' })
    await expect(pool.fanOut({ work }, Object.create({ timeoutMs: -1 }))).rejects.toThrow('timeoutMs')
  })

  test('is no reason to take any connection: acquire looks at its limits first', async () => {
    await pool.query('select 1')
    for (const timeoutMs of [Number.NaN, -1, '5s', null]) {
      await expect(pool.acquire({ timeoutMs } as never), String(timeoutMs)).rejects.toThrow(InvalidArgumentError)
    }
    await expect(pool.acquire({ signal: 5 } as never)).rejects.toThrow('signal is of type number')
    await expect(pool.acquire({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'LIFEGUARD_ABORTED' })
    await expect(pool.fanOut({ work }, { signal: 'now' } as never)).rejects.toThrow('signal is of type string')
    await expect(pool.forEachConcurrent([1], work, { signal: 'now' } as never)).rejects.toThrow('signal is of type')
  })

  test('of a pool, and of its groups, is found wherever it hides', () => {
    const groups = [
      'breaker',
      'overload',
      'pipelining',
      'locks',
      'listen',
      'retryBudget',
      'settings',
      'types',
      'environment',
    ]
    for (const [what, make] of odd) {
      for (const group of groups) {
        if (what === 'a name of every object' && group === 'settings') continue
        expect(() => createPool({ connectionString: database.url, [group]: make() }), `${group}: ${what}`).toThrow(
          InvalidArgumentError,
        )
      }
      expect(() => createPool(make() as never), what).toThrow(InvalidArgumentError)
      expect(() => createBreaker(make() as never), what).toThrow(InvalidArgumentError)
      expect(() => createPools({ main: make() } as never), what).toThrow(InvalidArgumentError)
    }
    expect(() => createPools(new Map() as never)).toThrow(InvalidArgumentError)
    expect(() => createPool({ types: { parsers: [] } as never })).toThrow('types.parsers')
  })

  test('is read of whatever the options of a pool inherit', async () => {
    const inherited = createPool(Object.create({ connectionString: database.url, applicationName: 'inherited' }))
    const { rows } = await inherited.query("select current_setting('application_name') as name")
    expect(rows).toEqual([{ name: 'inherited' }])
    await inherited.end()
  })

  test('that is undefined is refused as well, and a known one that is undefined is not given', async () => {
    await expect(pool.query('select 1', [], { timeout: undefined } as never)).rejects.toThrow('timeout')
    await pool.query('select 1', [], { signal: undefined, timeoutMs: undefined })
    expect(await pool.withTransaction(work, { isolation: undefined, readOnly: undefined, retry: undefined })).toBe(
      'ran',
    )
  })

  test('is not what somebody has put into every object of the process', async () => {
    const everything = Object.prototype as { everywhere?: string }
    everything.everywhere = 'somebody else'
    try {
      expect((await pool.query('select 1 as one', [], { timeoutMs: 5_000 })).rows).toEqual([{ one: 1 }])
    } finally {
      delete everything.everywhere
    }
  })
})

/** What must never make a transaction run with the rights of who logged in. */
const noRole = [undefined, null, '', 'none', 7, {}, ['app'], 'a\0b', 'r'.repeat(64)]
const noSettings: readonly unknown[] = [
  undefined,
  null,
  'app.tenant=a',
  ['app.tenant'],
  new Map([['app.tenant', 'a']]),
  Object.create({ 'app.tenant': 'a' }),
  { 'app.tenant': undefined },
  { 'app.tenant': null },
  { 'app.tenant': {} },
  { 'app.tenant': ['a'] },
  { 'app.tenant': Number.NaN },
  { 'app.tenant': Number.POSITIVE_INFINITY },
  { 'app.tenant': 'a\0application_name\0spoofed' },
  { 'app\0tenant': 'a' },
  { '': 'a' },
  { 'app.tenant=b': 'a' },
  { role: 'none' },
  { ROLE: 'app' },
  { session_authorization: 'default' },
  { client_encoding: 'SJIS' },
  { 'client-encoding': 'SJIS' },
  { Client_Encoding: 'EUC_KR' },
  { 'session-authorization': 'default' },
  { DateStyle: 'German' },
]

describe('what decides about the rights of a transaction', () => {
  const ways: readonly (readonly [string, Call])[] = [
    ['withTransaction', (o) => pool.withTransaction(work, o)],
    ['beginTransaction', (o) => pool.beginTransaction(o)],
    ['a nested one', (o) => pool.withTransaction(() => pool.withTransaction(work, o))],
    ['a nested tx', (o) => pool.withTransaction((tx) => tx.withTransaction(work, o))],
    ['that of a lock', (o) => pool.withLock('a', (lock) => lock.withTransaction(work, o))],
  ]

  test.each(ways)('is refused by %s when it says nothing', async (_, call) => {
    for (const role of noRole) await expect(call({ role } as never), String(role)).rejects.toThrow(InvalidArgumentError)
    for (const settings of noSettings) {
      await expect(call({ settings } as never), JSON.stringify(settings)).rejects.toThrow(InvalidArgumentError)
    }
  })

  test('names the option, and never shows what a setting holds', async () => {
    const secret = pool.withTransaction(work, { settings: { 'app.token': 'hunter2\0' } })
    await expect(secret).rejects.toThrow('settings.app.token is a string with a zero byte')
    const role = pool.withTransaction(work, { role: undefined } as never)
    await expect(role).rejects.toThrow('role is undefined; allowed: the name of a role')
  })

  test('holds when it is given, with every kind of value that there is', async () => {
    const settings = { 'app.text': "it's \\ 'quoted' é", 'app.number': 4.5, 'app.flag': false, 'app.empty': '' }
    const { rows } = await pool.withTransaction(
      (tx) =>
        tx.query(
          `select current_setting('app.text') as text, current_setting('app.number') as number,
             current_setting('app.flag') as flag, current_setting('app.empty') as empty`,
        ),
      { settings },
    )
    expect(rows).toEqual([{ text: "it's \\ 'quoted' é", number: '4.5', flag: 'false', empty: '' }])
  })
})

describe('an identifier', () => {
  const cut = `${'n'.repeat(63)}x`

  test('that the server would cut off is refused wherever one is given', async () => {
    await pool.query(`create table ${'n'.repeat(63)} (id int, version int)`)
    await pool.query(`insert into ${'n'.repeat(63)} values (1, 1)`)
    const update = pool.updateVersioned(cut, { id: 1, version: 1 }, { id: 2 })
    await expect(update).rejects.toThrow('a name of 1 to 63 bytes')
    await expect(pool.updateVersioned('entry', { id: 1, version: 1 }, { [cut]: 2 })).rejects.toThrow('63 bytes')
    await expect(pool.copyFrom({ table: cut }, [[1, 1]])).rejects.toThrow('63 bytes')
    await expect(pool.copyFrom({ table: 'entry', columns: [cut] }, [[1]])).rejects.toThrow('63 bytes')
    expect(() => pool.copyTo({ table: cut })).toThrow('63 bytes')
    await expect(pool.notify(cut)).rejects.toThrow('63 bytes')
    await expect(pool.notify('é'.repeat(32))).rejects.toThrow('63 bytes')
    const proven = pool.withTransaction(() => pool.query('select 1'), { proveCommit: { markerTable: cut } })
    await expect(proven).rejects.toThrow('63 bytes')
    expect((await pool.query(`select id from ${'n'.repeat(63)}`)).rows).toEqual([{ id: 1 }])
    await endPools()
  })

  test.each([
    'n'.repeat(64),
    'é'.repeat(32),
    '表'.repeat(22),
    '😀'.repeat(16),
    'half \ud83d',
    '\ude00 half',
    'zero\0byte',
    '',
    7,
    undefined,
    null,
    [['a']],
  ])('%j is refused wherever the server would take it for another', async (given) => {
    const name = given as string
    const all: readonly (() => unknown)[] = [
      () => sql.identifier(name),
      () => sql.identifier('public', name),
      () => pool.updateVersioned(name, { id: 1, version: 1 }, { id: 2 }),
      () => pool.updateVersioned('entry', { [String(name)]: 1, version: 1 }, { id: 2 }),
      () => pool.updateVersioned('entry', { id: 1, [String(name)]: 1 }, { id: 2 }, { versionColumn: name ?? '' }),
      () => pool.copyFrom({ table: name }, [[1]]),
      () => pool.copyFrom({ table: 'entry', columns: [name] }, [[1]]),
      () => pool.copyTo({ table: name }),
      () => pool.copyTo({ table: 'entry', columns: [name] }),
      () => pool.notify(name),
      () => pool.listen(name, () => undefined),
      () => pool.withTransaction(async () => undefined, { role: name }),
      () => pool.withTransaction(() => pool.query('select 1'), { proveCommit: { markerTable: name ?? '' } }),
    ]
    for (const [at, call] of all.entries()) {
      // A key may have any name that is text.
      if (at === 3 && typeof name !== 'string') continue
      const refused = await Promise.resolve()
        .then(call)
        .then(
          () => undefined,
          (error: unknown) => error,
        )
      expect(refused, String(call)).toBeInstanceOf(InvalidArgumentError)
    }
    expect(pool.stats().pool.active).toBe(0)
  })

  test('nor is the name of a prepared statement that is too long, or ends early, sent', async () => {
    for (const name of ['n'.repeat(64), 'é'.repeat(32), 'a\0b', 'half \ud83d']) {
      await expect(pool.query({ name, text: 'select 1' })).rejects.toBeInstanceOf(InvalidArgumentError)
    }
    const longest = 'n'.repeat(63)
    expect((await pool.query({ name: longest, text: 'select 1 as one' })).rows).toEqual([{ one: 1 }])
    expect(pool.stats().pool.active).toBe(0)
  })

  test('nor what would go into the startup packet with a zero byte, or be cut off there', async () => {
    const zero = 'a\0b'
    for (const options of [
      { user: zero },
      { database: zero },
      { applicationName: zero },
      { name: zero },
      { host: zero },
      { password: zero },
      { settings: { 'app.a': zero } },
      { settings: { [zero]: 'a' } },
      { settings: { role: zero } },
      { database: 'd'.repeat(64) },
      { user: 'é'.repeat(32) },
      { database: 'half \ud83d' },
      { connectionString: `postgres://h/${'d'.repeat(64)}` },
      { connectionString: `postgres://${'u'.repeat(64)}@h/d` },
      { connectionString: 'postgres://h/d?options=-c%20app.a%3Da%00b' },
      { connectionString: 'postgres://a%00b@h/d' },
      { connectionString: 'postgres://a:a%00b@h/d' },
      { connectionString: 'postgres://h/a%00b' },
      { connectionString: `host=h dbname=${zero}` },
      { connectionString: `host=h options='-c app.a=${zero}'` },
      { connectionString: `host=h application_name=${zero}` },
    ]) {
      expect(() => createPool(options as never), JSON.stringify(options)).toThrow(InvalidArgumentError)
    }
  })
})
