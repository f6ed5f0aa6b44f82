import { startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { beforeEach, describe, expect, test } from 'vitest'
import { type AmbiguousCommitEvent, CommitUnknownError, type Pool, type RetryEvent } from '../../src/index.js'
import { roundTrips } from '../support/round-trips.js'
import { rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({
  setup: `
    create table entry (id int primary key, note text);
    create table lifeguard_commit (id uuid primary key, at timestamptz not null default now());
  `,
})

let pool: Pool
beforeEach(async () => {
  pool = testPool(database.url)
  await pool.query('truncate entry, lifeguard_commit')
})

async function notes(): Promise<string[]> {
  return (await pool.query<{ note: string }>('select note from entry order by id')).rows.map(({ note }) => note)
}

describe('hooks', () => {
  test('run once for what was committed, in order, outside of the transaction, before the caller goes on', async () => {
    const ran: string[] = []
    await pool.withTransaction(async (tx) => {
      tx.afterCommit(async () => {
        expect(pool.currentTransaction).toBeUndefined()
        expect(await notes()).toEqual(['a'])
        ran.push('first')
      })
      tx.afterRollback(() => ran.push('never'))
      tx.onUnknown(() => ran.push('never'))
      await tx.query("insert into entry values (1, 'a')")
      tx.afterCommit(() => ran.push('second'))
    })
    expect(ran).toEqual(['first', 'second'])
  })

  test('of attempts that failed are dropped', async () => {
    const ran: string[] = []
    await pool.withTransaction(async (tx) => {
      tx.afterCommit(() => ran.push(`commit of attempt ${tx.attempt}`))
      tx.afterRollback(() => ran.push(`rollback of attempt ${tx.attempt}`))
      if (tx.attempt < 3) await tx.query("do $$ begin raise exception 'again' using errcode = '40001'; end $$")
    })
    expect(ran).toEqual(['commit of attempt 3'])
  })

  test('of nested levels follow what became of them', async () => {
    const ran: string[] = []
    await pool.withTransaction(async (tx) => {
      await tx.withTransaction(async (inner) => {
        inner.afterCommit(() => ran.push('inner committed'))
        await inner.withTransaction(async (deep) => {
          deep.afterCommit(() => ran.push('deep committed'))
        })
        await rejection(
          inner.withTransaction(async (deep) => {
            deep.afterCommit(() => ran.push('never: undone deep'))
            deep.afterRollback(() => ran.push('undone deep rolled back'))
            throw new Error('undo')
          }),
        )
      })
      tx.afterCommit(() => ran.push('outer committed'))
      expect(ran).toEqual([])
    })
    expect(ran).toEqual(['undone deep rolled back', 'inner committed', 'deep committed', 'outer committed'])
    ran.length = 0
    await rejection(
      pool.withTransaction(async (tx) => {
        await tx.withTransaction(async (inner) => {
          inner.afterCommit(() => ran.push('never'))
          inner.afterRollback(() => ran.push('inner rolled back'))
        })
        throw new Error('undo all')
      }),
    )
    expect(ran).toEqual(['inner rolled back'])
  })

  test('that throw change nothing about the commit: they are events', async () => {
    const heard: unknown[] = []
    pool.on('hook-error', (event) => heard.push(event))
    const error = new Error('mail server down')
    const ran: string[] = []
    await pool.withTransaction(async (tx) => {
      await tx.query("insert into entry values (1, 'kept')")
      tx.afterCommit(() => Promise.reject(error))
      tx.afterCommit(() => ran.push('the next one'))
    })
    expect(heard).toEqual([{ hook: 'afterCommit', error }])
    expect(ran).toEqual(['the next one'])
    expect(await notes()).toEqual(['kept'])
  })
})

test('an attempt knows why it runs again, and so do listeners', async () => {
  const heard: RetryEvent[] = []
  pool.on('retry', (event) => heard.push(event))
  const seen = await pool.withTransaction(async (tx) => {
    if (tx.attempt === 1) await tx.query("do $$ begin raise exception 'again' using errcode = '40001'; end $$")
    if (tx.attempt === 2) await tx.query("do $$ begin raise exception 'again' using errcode = '40P01'; end $$")
    return tx.retries.map(({ attempt, reason }) => [attempt, reason])
  })
  expect(seen).toEqual([
    [1, 'conflict'],
    [2, 'deadlock'],
  ])
  expect(heard.map(({ attempt, reason }) => [attempt, reason])).toEqual(seen)
  expect(pool.stats().retries).toBe(2)
})

describe('a proven commit', () => {
  test('returns its value although the answer to COMMIT was lost', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const proxied = testPool(proxy.url, { max: 2 })
    const heard: AmbiguousCommitEvent[] = []
    proxied.on('ambiguous-commit', (event) => heard.push(event))
    const ran: string[] = []
    for (let i = 0; i < 10; i++) {
      await proxy.rule({ statement: 'COMMIT', when: 'after', action: 'cut' })
      let runs = 0
      const value = await proxied.withTransaction(
        async (tx) => {
          runs += 1
          tx.afterCommit(() => ran.push(`committed ${i}`))
          tx.onUnknown(() => ran.push('never'))
          await tx.query('insert into entry values ($1, $2)', [i, 'sent'])
          return i
        },
        { proveCommit: true },
      )
      expect([value, runs]).toEqual([i, 1])
    }
    expect(await notes()).toHaveLength(10)
    expect(ran).toHaveLength(10)
    expect(heard.map(({ outcome }) => outcome)).toEqual(Array.from({ length: 10 }, () => 'committed'))
  })

  test('runs again when the COMMIT never arrived, and applies it once', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const proxied = testPool(proxy.url, { max: 2 })
    for (let i = 0; i < 10; i++) {
      await proxy.rule({ statement: 'COMMIT', when: 'before', action: 'cut' })
      const attempts: number[] = []
      await proxied.withTransaction(
        async (tx) => {
          attempts.push(tx.attempt)
          await tx.query('insert into entry values ($1, $2)', [i, 'once'])
        },
        { proveCommit: true },
      )
      expect(attempts).toEqual([1, 2])
    }
    expect(await notes()).toHaveLength(10)
  })

  test('ends the session of a COMMIT that hangs in the network, so that the outcome is final', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    // A second way to the server: the proof must not hang in the same stall.
    const proxied = testPool(proxy.url, { max: 2 })
    await proxied.query('select 1')
    await proxy.rule({ statement: 'COMMIT', when: 'before', action: 'stall' })
    const error = await rejection(
      proxied.withTransaction((tx) => tx.query("insert into entry values (1, 'never')"), {
        proveCommit: { timeoutMs: 5_000 },
        timeoutMs: 200,
        retry: false,
      }),
    )
    expect(error).not.toBeInstanceOf(CommitUnknownError)
    await proxy.resume()
    expect(await notes()).toEqual([])
    expect(
      (
        await pool.query(
          "select 1 from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'",
        )
      ).rows,
    ).toEqual([])
  })

  test('is unknown, with its hook and event, when no server can tell in time', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const proxied = testPool(proxy.url, { max: 1 })
    const heard: AmbiguousCommitEvent[] = []
    proxied.on('ambiguous-commit', (event) => heard.push(event))
    const ran: string[] = []
    await proxy.rule({ statement: 'COMMIT', when: 'after', action: 'cut' })
    const error = await rejection(
      proxied.withTransaction(
        async (tx) => {
          tx.onUnknown(() => ran.push('unknown'))
          tx.afterRollback(() => ran.push('never'))
          await tx.query("insert into entry values (1, 'sent')")
          await proxy.refuse()
        },
        { proveCommit: { timeoutMs: 300 } },
      ),
    )
    expect(error).toBeInstanceOf(CommitUnknownError)
    expect(ran).toEqual(['unknown'])
    expect(heard[0]?.outcome).toBe('unknown')
    expect(heard).toHaveLength(1)
    await proxy.accept()
  })

  test('costs no round trip, writes its marker with the transaction, and asks nothing of a read-only one', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const proxied = testPool(proxy.url, { max: 1 })
    await proxied.query('select 1')
    const before = await roundTrips(proxy)
    await proxied.withTransaction((tx) => tx.query("insert into entry values (1, 'a')"), {
      proveCommit: { markerTable: 'public.lifeguard_commit' },
    })
    expect(await roundTrips(proxy)).toBe(before + 2)
    expect((await pool.query('select count(*)::int as n from lifeguard_commit')).rows).toEqual([{ n: 1 }])
    const xid = await proxied.withTransaction(
      async (tx) => (await tx.query('select pg_current_xact_id_if_assigned() as xid')).rows[0]?.['xid'],
      { proveCommit: true, readOnly: true },
    )
    expect(xid).toBeNull()
  })

  test('works for transactions that are ended by hand, too', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const proxied = testPool(proxy.url, { max: 2 })
    await proxy.rule({ statement: 'COMMIT', when: 'after', action: 'cut' })
    const transaction = await proxied.beginTransaction({ proveCommit: true })
    await transaction.query("insert into entry values (1, 'by hand')")
    await transaction.commit()
    expect(await notes()).toEqual(['by hand'])
  })

  test('needs no more rights than any role has', async () => {
    await pool.query('create role plain_role; grant all on entry to plain_role')
    await pool.withTransaction((tx) => tx.query("insert into entry values (1, 'plain')"), {
      proveCommit: true,
      role: 'plain_role',
    })
    expect(await notes()).toEqual(['plain'])
    await pool.query('drop owned by plain_role; drop role plain_role')
  })
})

test('a transaction whose time is over before it begins runs nothing', async () => {
  let ran = false
  const run = (options: { readonly signal?: AbortSignal; readonly timeoutMs?: number }): Promise<Error> =>
    rejection(
      pool.withTransaction(async () => {
        ran = true
      }, options),
    )
  expect(await run({ signal: AbortSignal.abort() })).toMatchObject({ name: 'AbortError', outcome: 'not-sent' })
  expect(await run({ timeoutMs: 0 })).toMatchObject({ code: 'LIFEGUARD_TIMEOUT', outcome: 'not-sent' })
  expect(ran).toBe(false)
})
