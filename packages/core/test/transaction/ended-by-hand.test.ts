import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { describe, expect, test } from 'vitest'
import { CommitUnknownError, createPool, type Pool, type Transaction, TransactionClosedError } from '../../src/index.js'
import { answeredInTime, rejection } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table entry (id int)' })

const roomy = { settings: { 'app.tenant': 'a' }, isolation: 'serializable' } as const
const state = `select current_setting('app.tenant', true) as tenant, current_setting('transaction_isolation') as isolation`

/** A pool over the table of the file, which has no row yet. */
async function emptied(max = 1): Promise<Pool> {
  const pool = createPool({ connectionString: database.url, max })
  await pool.query('truncate entry')
  return pool
}
function withHooks(tx: Transaction, heard: string[]): void {
  tx.afterCommit(() => heard.push('committed'))
  tx.afterRollback(() => heard.push('rolled back'))
  tx.onUnknown(() => heard.push('unknown'))
}
async function ids(pool: Pool): Promise<number[]> {
  return (await pool.query<{ id: number }>('select id from entry order by id')).rows.map(({ id }) => id)
}

describe.each([
  ['commit', 'committed', [1]],
  ['end work', 'committed', [1]],
  ['commit and chain', 'committed', [1]],
  ['--\rcommit and chain', 'committed', [1]],
  ['commit; begin', 'committed', [1]],
  ['commit; begin; insert into entry values (2)', 'committed', [1]],
  ['rollback', 'rolled back', []],
  ['rollback and chain', 'rolled back', []],
  ['abort; begin', 'rolled back', []],
] as const)('%j by a callback', (text, became, left) => {
  test('ends the scope: nothing runs after it, and hooks hear what became of it', async () => {
    await using pool = await emptied()
    const heard: string[] = []
    let calls = 0
    const work = pool.withTransaction(async (tx) => {
      calls += 1
      withHooks(tx, heard)
      await tx.query('insert into entry values (1)')
      await tx.query(text)
      await tx.query('insert into entry values (3)')
    }, roomy)
    const error = await rejection(work)
    expect(error).toBeInstanceOf(TransactionClosedError)
    expect((error as Error).message).toContain(became)
    expect(heard).toEqual([became])
    expect(calls).toBe(1)
    expect(await ids(pool)).toEqual(left)
    expect((await pool.query(state)).rows[0]).toMatchObject({ isolation: 'read committed' })
    expect((await pool.query<{ tenant: string | null }>(state)).rows[0]?.tenant || null).toBeNull()
    expect(pool.stats()).toMatchObject({ pool: { total: 1, active: 0 } })
  })

  test('likewise in a nested one, through the pool itself, and when the callback asks for nothing more', async () => {
    await using pool = await emptied()
    const heard: string[] = []
    const work = pool.withTransaction(async (tx) => {
      withHooks(tx, heard)
      await tx.withTransaction(async (inner) => {
        withHooks(inner, heard)
        await pool.query('insert into entry values (1)')
        await pool.query(text)
      })
    })
    if (became === 'committed') await work
    else expect(await rejection(work)).toBeInstanceOf(TransactionClosedError)
    expect(heard).toEqual([became, became])
    expect(await ids(pool)).toEqual(left)
  })

  test('likewise in one that is ended by hand, and on a connection of its own', async () => {
    await using pool = await emptied()
    await using connection = await pool.acquire()
    const manual = connection.beginTransaction(roomy)
    await manual.query('insert into entry values (1)')
    await manual.query(text)
    expect(await rejection(manual.query('insert into entry values (3)'))).toBeInstanceOf(TransactionClosedError)
    expect(await rejection(manual.commit())).toBeInstanceOf(TransactionClosedError)
    const { rows } = await connection.query<{ id: number }>('select id from entry')
    expect(rows.map(({ id }) => id)).toEqual(left)
    expect((await connection.query(state)).rows[0]).toMatchObject({ isolation: 'read committed' })
  })
})

test('what fails after its own COMMIT in the same text has committed', async () => {
  await using pool = await emptied()
  const heard: string[] = []
  const work = pool.withTransaction(async (tx) => {
    withHooks(tx, heard)
    await tx.query('insert into entry values (1)')
    await tx.query('commit; begin; select 1/0')
  })
  expect(await rejection(work)).toMatchObject({ code: '22012' })
  expect(heard).toEqual(['committed'])
  expect(await ids(pool)).toEqual([1])
})

test('a COMMIT by hand whose answer is lost is unknown, and the callback does not run again', async () => {
  await using pool = await emptied(2)
  const heard: string[] = []
  let calls = 0
  const work = pool.withTransaction(async (tx) => {
    calls += 1
    withHooks(tx, heard)
    const { rows } = await tx.query<{ pid: number }>('insert into entry values (1) returning pg_backend_pid() as pid')
    const pid = rows[0]?.pid
    await tx.query(`select pg_terminate_backend(${pid}); commit`)
  })
  expect(await rejection(work)).toBeInstanceOf(CommitUnknownError)
  expect(heard).toEqual(['unknown'])
  expect(calls).toBe(1)
})

test('the deadline holds for a callback that goes on after its own COMMIT, and hooks hear that it has committed', async () => {
  for (const [deadline, code] of [
    [() => ({ timeoutMs: 500 }), 'LIFEGUARD_TIMEOUT'],
    [() => ({ signal: AbortSignal.timeout(500) }), 'LIFEGUARD_ABORTED'],
  ] as const) {
    await using pool = await emptied()
    const heard: string[] = []
    const work = pool.withTransaction(async (tx) => {
      withHooks(tx, heard)
      await tx.query('insert into entry values (1)')
      await tx.query('commit')
      await new Promise(() => undefined)
    }, deadline())
    expect(await rejection(work)).toMatchObject({ code, outcome: 'unknown' })
    expect(heard).toEqual(['committed'])
    expect(await ids(pool)).toEqual([1])
  }
})

test('savepoints by hand go back and forth as before', async () => {
  await using pool = await emptied()
  await pool.withTransaction(async (tx) => {
    await tx.query('insert into entry values (1)')
    await tx.query('savepoint a')
    await tx.query('insert into entry values (2)')
    await tx.query('rollback to savepoint a')
    await tx.query('insert into entry values (4); rollback transaction to a; select 1')
    await tx.query('release a')
    await tx.query('insert into entry values (3)')
  })
  expect(await ids(pool)).toEqual([1, 3])
})

describe('BEGIN by the pool', () => {
  const refused = { code: 'LIFEGUARD_INVALID_OPTION', message: expect.stringContaining('withTransaction') }
  test.each(['begin', 'START TRANSACTION', '--\rbegin', 'begin; insert into entry values (1)', 'select 1; begin'])(
    '%j is refused, however it is asked for',
    async (text) => {
      await using pool = await emptied()
      expect(await rejection(pool.query(text))).toMatchObject(refused)
      expect(await rejection(pool.query({ text, name: 'mine' }))).toMatchObject(refused)
      expect(await rejection(pool.stream(text).next())).toMatchObject(refused)
      expect(await rejection(pool.asPgPool().query(text))).toMatchObject(refused)
      const lane = Array.from({ length: 20 }, (_, n) =>
        n === 10 ? rejection(pool.query(text)) : pool.query('insert into entry values ($1)', [n]),
      )
      await Promise.all(lane)
      expect(await ids(pool)).toHaveLength(19)
    },
  )

  test('in a batch too', async () => {
    await using pool = createPool({ connectionString: database.url, max: 1 })
    const code = { code: 'LIFEGUARD_INVALID_OPTION' }
    for (const text of ['begin', '--\rbegin', '/* /* */ */ start transaction', '--\rcommit']) {
      expect(await rejection(pool.batch([{ text }]))).toMatchObject(code)
      expect(await rejection(pool.batchTogether([() => pool.query(text)]))).toMatchObject(code)
    }
  })

  test('a text that ends what it begins may run, and a connection of its own may begin by hand', async () => {
    await using pool = await emptied()
    await pool.query('begin; insert into entry values (1); commit')
    {
      await using connection = await pool.acquire()
      await connection.query('begin')
      await connection.query('insert into entry values (2)')
      await connection.query('commit')
    }
    const client = await pool.asPgPool().connect()
    await client.query('begin')
    await client.query('insert into entry values (3)')
    await client.query('commit')
    client.release()
    expect(await ids(pool)).toEqual([1, 2, 3])
  })
})

describe('cancelled', () => {
  const setup = `create or replace procedure work() language plpgsql as
    $$ begin insert into entry values (1); commit; perform pg_sleep(30); end $$`
  test.each([
    'call work()',
    'do $$ begin insert into entry values (1); commit; perform pg_sleep(30); end $$',
    'begin; insert into entry values (1); commit; select pg_sleep(30)',
  ])('%j is unknown outside of a transaction', async (text) => {
    await using pool = await emptied()
    await pool.query(setup)
    const own = await pool.acquire()
    expect(await rejection(own.query(text, [], { timeoutMs: 200 }))).toMatchObject({
      code: 'LIFEGUARD_TIMEOUT',
      outcome: 'unknown',
      retryable: false,
    })
    own.release()
    expect(await rejection(pool.query(text, [], { timeoutMs: 200 }))).toMatchObject({ outcome: 'unknown' })
  })

  test('CALL in a transaction cannot commit: it is undone with it', async () => {
    await using pool = await emptied()
    await pool.query(`create or replace procedure waits() language plpgsql as
      $$ begin insert into entry values (1); perform pg_sleep(30); end $$`)
    const work = () => pool.withTransaction((tx) => tx.query('call waits()', [], { timeoutMs: 200 }))
    expect(await answeredInTime(work)).toMatchObject({ outcome: 'cancelled' })
    const statement = () => pool.query('insert into entry select 2 from pg_sleep(30)', [], { timeoutMs: 200 })
    expect(await answeredInTime(statement)).toMatchObject({ outcome: 'cancelled' })
    expect(await ids(pool)).toEqual([])
  })
})

describe('COPY as a statement', () => {
  const copy = 'copy entry from stdin'
  const asked: [string, (pool: Pool) => Promise<unknown>][] = [
    ['by itself', (pool) => pool.query(copy)],
    ['by name', (pool) => pool.query({ text: copy, name: 'mine' })],
    ['among others', (pool) => pool.query(`select 1; ${copy}; select 2`)],
    ['first in a transaction', (pool) => pool.withTransaction((tx) => tx.query(copy))],
    ['first in a savepoint', (pool) => pool.withTransaction((tx) => tx.withTransaction((inner) => inner.query(copy)))],
    [
      'later in a transaction',
      (pool) => pool.withTransaction(async (tx) => [await tx.query('select 1'), await tx.query(copy)]),
    ],
    ['among others in a transaction', (pool) => pool.withTransaction((tx) => tx.query(`${copy}; select 1`))],
    ['streamed', (pool) => pool.stream(copy).next()],
    ['streamed in a transaction', (pool) => pool.withTransaction((tx) => tx.stream(copy).next())],
    ['through the view of pg', (pool) => pool.asPgPool().query(copy)],
    ['by name through the view of pg', (pool) => pool.asPgPool().query({ text: copy, name: 'mine' })],
    [
      'by a client of the view',
      async (pool) => {
        const client = await pool.asPgPool().connect()
        try {
          await client.query(copy)
        } finally {
          client.release()
        }
      },
    ],
  ]
  test.each(asked)('%s is refused by the server, and the connection goes on', async (_, ask) => {
    await using pool = createPool({ connectionString: database.url, max: 1 })
    const { rows: before } = await pool.query<{ pid: number }>('select pg_backend_pid() as pid')
    expect(await rejection(ask(pool))).toMatchObject({ code: '57014' })
    const { rows: after } = await pool.query<{ pid: number }>('select pg_backend_pid() as pid')
    expect(after).toEqual(before)
  })

  test('in a batch it is refused before it is sent', async () => {
    await using pool = createPool({ connectionString: database.url, max: 1 })
    const code = { code: 'LIFEGUARD_INVALID_OPTION' }
    expect(await rejection(pool.batch([{ text: 'select 1' }, { text: `--\r${copy}` }]))).toMatchObject(code)
    expect(await rejection(pool.batchTogether([() => pool.query(copy)]))).toMatchObject(code)
  })

  test('TO STDOUT gives no rows and leaves nothing', async () => {
    await using pool = await emptied()
    await pool.query('insert into entry values (1)')
    const text = 'copy entry to stdout'
    expect((await pool.query(text)).rowCount).toBe(1)
    expect((await pool.query({ text, name: 'out' })).rowCount).toBe(1)
    await pool.withTransaction((tx) => tx.query(text))
    expect(await ids(pool)).toEqual([1])
  })
})

test('PREPARE TRANSACTION by a callback: it ends elsewhere, hooks hear that it is unknown, and nothing runs after it', async () => {
  await using pool = await emptied()
  const heard: string[] = []
  const work = pool.withTransaction(async (tx) => {
    withHooks(tx, heard)
    await tx.query('insert into entry values (1)')
    await tx.query(`prepare transaction 'ended-by-hand'`)
    await tx.query('insert into entry values (2)')
  }, roomy)
  expect(await rejection(work)).toBeInstanceOf(TransactionClosedError)
  expect(heard).toEqual(['unknown'])
  expect(await ids(pool)).toEqual([])
  await pool.query(`commit prepared 'ended-by-hand'`)
  expect(await ids(pool)).toEqual([1])
})

test('COMMIT by hand in a transaction of a lock ends it, and the lock is held on', async () => {
  await using pool = await emptied(2)
  const heard: string[] = []
  await pool.withLock('by-hand', async (lock) => {
    const work = lock.withTransaction(async (tx) => {
      withHooks(tx, heard)
      await tx.query('insert into entry values (1)')
      await tx.query('commit')
      await tx.query('insert into entry values (2)')
    })
    expect(await rejection(work)).toBeInstanceOf(TransactionClosedError)
    await lock.withTransaction((tx) => tx.query('insert into entry values (3)'))
  })
  expect(heard).toEqual(['committed'])
  expect(await ids(pool)).toEqual([1, 3])
})
