import { type Cluster, type FaultProxy, startCluster, startFaultProxy, type TestDatabase } from '@pg-lifeguard/testing'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  type AmbiguousCommitEvent,
  type CommitProofOptions,
  CommitUnknownError,
  OperationTimeoutError,
  type Pool,
} from '../../src/index.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

let cluster: Cluster
let database: TestDatabase
beforeAll(async () => {
  // Transaction ids reach the disk with the next commit only, so that a crash can lose them for certain.
  cluster = await startCluster({ settings: { wal_writer_delay: '10s', autovacuum: false } })
  database = await cluster.createDatabase()
})
afterAll(() => cluster.stop())

beforeEach(async () => {
  const pool = testPool(database.url, { max: 1 })
  await pool.query(`
    drop table if exists entry, filler, lifeguard_commit;
    create table entry (id int, note text);
    create table filler (id int);
    create table lifeguard_commit (id uuid primary key, at timestamptz not null default now());`)
})

async function entries(): Promise<number> {
  const pool = testPool(database.url, { max: 1 })
  return (await pool.query('select from entry')).rows.length
}

/** The server crashes while `held` holds what is under way, and is up again when this settles. The proxy lets nobody in. */
async function crash(proxy: FaultProxy): Promise<void> {
  await proxy.refuse()
  await cluster.primary.stop({ mode: 'immediate' })
  await proxy.cut()
  await cluster.primary.start()
}

/** COMMIT itself does not arrive, or its answer does not. */
const commitLost = { statement: 'COMMIT', when: 'before', action: 'stall' } as const
const answerLost = {
  direction: 'to-client',
  message: 'CommandComplete',
  text: 'COMMIT',
  when: 'before',
  action: 'stall',
} as const

/** A pool that is connected through a proxy; `fired` settles when what `fault` says has struck. */
async function stageWith(fault: typeof commitLost | typeof answerLost) {
  const proxy = await startFaultProxy({ target: database.url })
  const pool = testPool(proxy.url, { max: 2, acquireTimeoutMs: 20_000 })
  await pool.query('select 1')
  const { fired } = await proxy.rule(fault)
  return { proxy, pool, fired, [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose]() }
}

/** Inserts in a transaction of which the outcome is found out; tells how often that was tried. */
function insertProven(pool: Pool, note: string, proof: CommitProofOptions = {}): Promise<number> {
  return pool.withTransaction(
    async (tx) => {
      await tx.query('insert into entry values (1, $1)', [note])
      return tx.attempt
    },
    { proveCommit: { timeoutMs: 20_000, ...proof } },
  )
}

/** Other transactions that commit, and so take the ids that the crash made free again. */
async function useUpIds(): Promise<void> {
  const pool = testPool(database.url, { max: 1 })
  for (let i = 0; i < 20; i++) await pool.query('insert into filler values ($1)', [i])
}

describe('a crash between COMMIT and its answer', () => {
  test.each([
    ['nobody has used the ids again', false, false],
    ['others have used the ids again', true, false],
    ['others have used the ids again, and a checkpoint has passed', true, true],
  ])('that lost the transaction is not taken for a commit when %s', async (_, reused, checkpoint) => {
    await using stage = await stageWith(commitLost)
    const { proxy, pool, fired } = stage
    const heard: AmbiguousCommitEvent[] = []
    pool.on('ambiguous-commit', (event) => heard.push(event))
    const done = pool
      .withTransaction((tx) => tx.query("insert into entry values (1, 'lost')"), {
        proveCommit: { timeoutMs: 20_000 },
        retry: false,
      })
      .then(
        () => 'committed',
        (error: unknown) => error,
      )
    await fired
    await crash(proxy)
    if (reused) await useUpIds()
    if (checkpoint) await testPool(database.url, { max: 1 }).query('checkpoint')
    await proxy.accept()
    const outcome = await done
    expect(await entries()).toBe(0)
    expect(outcome).not.toBe('committed')
    // Behind a checkpoint nobody can tell any more whose id it was.
    expect(outcome instanceof CommitUnknownError).toBe(checkpoint)
    expect(heard.map((event) => event.outcome)).toEqual([checkpoint ? 'unknown' : 'aborted'])
  })

  test('never ends the session of a stranger that was given the same id', async () => {
    await using stage = await stageWith(commitLost)
    const { proxy, pool, fired } = stage
    let xid = ''
    const done = rejection(
      pool.withTransaction(
        async (tx) => {
          await tx.query("insert into entry values (1, 'lost')")
          xid = (await tx.query<{ xid: string }>('select pg_current_xact_id()::text as xid')).rows[0]?.xid ?? ''
        },
        { proveCommit: { timeoutMs: 20_000 }, retry: false },
      ),
    )
    await fired
    await crash(proxy)
    const stranger = testPool(database.url, { max: 1 })
    const sameId = await eventually('a stranger has the same id', async () => {
      const transaction = await stranger.beginTransaction()
      const { rows } = await transaction.query<{ xid: string }>('select pg_current_xact_id()::text as xid')
      if (rows[0]?.xid === xid) return transaction
      await transaction.commit()
      return undefined
    })
    await proxy.accept()
    expect(await done).not.toBeInstanceOf(CommitUnknownError)
    await sameId.query('insert into filler values (1)')
    await sameId.commit()
    expect(await entries()).toBe(0)
  })

  test.each([false, true])('that kept the transaction is a commit; others have committed since: %s', async (reused) => {
    await using stage = await stageWith(answerLost)
    const { proxy, pool, fired } = stage
    const done = insertProven(pool, 'kept')
    await fired
    await crash(proxy)
    if (reused) await useUpIds()
    await proxy.accept()
    expect(await done).toBe(1)
    expect(await entries()).toBe(1)
  })

  test('is decided by the marker row where there is one, checkpoint or not', async () => {
    await using stage = await stageWith(commitLost)
    const { proxy, pool, fired } = stage
    const done = insertProven(pool, 'again', { markerTable: 'lifeguard_commit' })
    await fired
    await crash(proxy)
    await useUpIds()
    await testPool(database.url, { max: 1 }).query('checkpoint')
    await proxy.accept()
    expect(await done).toBe(2)
    expect(await entries()).toBe(1)
  })
})

test('a clean restart between COMMIT and its answer does not blur the outcome', async () => {
  await using stage = await stageWith(answerLost)
  const { proxy, pool, fired } = stage
  const done = insertProven(pool, 'kept')
  await fired
  await proxy.refuse()
  await cluster.primary.stop({ mode: 'fast' })
  await proxy.cut()
  await cluster.primary.start()
  await useUpIds()
  await testPool(database.url, { max: 1 }).query('checkpoint')
  await proxy.accept()
  expect(await done).toBe(1)
  expect(await entries()).toBe(1)
})

test('a deadline that ran out over a COMMIT that is proven undone says that nothing took effect', async () => {
  await using proxy = await startFaultProxy({ target: database.url })
  const pool = testPool(proxy.url, { max: 2 })
  await pool.query('select 1')
  await proxy.rule({ statement: 'COMMIT', when: 'before', action: 'stall' })
  const error = await rejection(
    pool.withTransaction((tx) => tx.query("insert into entry values (1, 'never')"), {
      proveCommit: true,
      timeoutMs: 200,
    }),
  )
  expect(error).toBeInstanceOf(OperationTimeoutError)
  expect(error).toMatchObject({ outcome: 'cancelled' })
  await proxy.resume()
  expect(await entries()).toBe(0)
})

test('a pool without a free place delays the proof, and does not prevent it', async () => {
  await using proxy = await startFaultProxy({ target: database.url })
  const pool = testPool(proxy.url, { max: 1, acquireTimeoutMs: 1_000 })
  await pool.query('select 1')
  await proxy.rule({ statement: 'COMMIT', when: 'after', action: 'cut' })
  // Somebody else stands in line, has the only place when the connection is lost, and keeps it for longer than the
  // pool lets anybody wait.
  const gate = Promise.withResolvers<void>()
  const other = gate.promise.then(() => pool.query('select pg_sleep(1.5)'))
  const done = pool.withTransaction(
    async (tx) => {
      await tx.query("insert into entry values (1, 'kept')")
      gate.resolve()
      await eventually('somebody stands in line', () => pool.stats().waits.waiting === 1)
      return tx.attempt
    },
    { proveCommit: true },
  )
  expect(await done).toBe(1)
  await other
  expect(await entries()).toBe(1)
})
