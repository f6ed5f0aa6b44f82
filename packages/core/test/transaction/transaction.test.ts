import { startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { beforeEach, describe, expect, test } from 'vitest'
import {
  CommitUnknownError,
  InvalidArgumentError,
  OperationTimeoutError,
  type Pool,
  sqlStateOf,
  type Transaction,
  TransactionClosedError,
  TransactionRolledBackError,
} from '../../src/index.js'
import { roundTrips } from '../support/round-trips.js'
import { answeredInTime, eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({
  setup: `
    create table counter (id int primary key, n int not null);
    create table entry (id int primary key, note text);
    create table parent (id int primary key);
    create table child (parent int references parent (id) deferrable initially deferred);
    create role tenant_role;
    grant select on counter to tenant_role;
  `,
})

let pool: Pool
beforeEach(async () => {
  pool = testPool(database.url, { max: 5 })
  await pool.query('truncate counter, entry; insert into counter values (1, 0)')
})

async function counter(): Promise<number | undefined> {
  return (await pool.query<{ n: number }>('select n from counter where id = 1')).rows[0]?.n
}

async function notes(): Promise<string[]> {
  return (await pool.query<{ note: string }>('select note from entry order by id')).rows.map(({ note }) => note)
}

describe('a transaction', () => {
  test('commits what its callback did and returns its value', async () => {
    const value = await pool.withTransaction(async (tx) => {
      await tx.query('update counter set n = 1')
      return 'done'
    })
    expect(value).toBe('done')
    expect(await counter()).toBe(1)
  })

  test('rolls back when its callback throws, and throws that very error', async () => {
    const mine = new Error('mine')
    const { stack } = mine
    const error = await rejection(
      pool.withTransaction(async (tx) => {
        await tx.query('update counter set n = 1')
        throw mine
      }),
    )
    expect(error).toBe(mine)
    expect(error.stack).toBe(stack)
    expect(await counter()).toBe(0)
  })

  test('takes no connection before its first statement, and none at all without one', async () => {
    await pool.withTransaction(async () => {
      expect(pool.stats().pool.active).toBe(0)
    })
    expect(pool.stats().pool.acquired).toBe(1) // the truncate above
  })

  test('with one statement takes two round trips, with its isolation and settings as well', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const proxied = testPool(proxy.url, { max: 1 })
    await proxied.query('select 1')
    const before = await roundTrips(proxy)
    await proxied.withTransaction((tx) => tx.query('update counter set n = n + $1', [1]), {
      isolation: 'serializable',
      lockTimeoutMs: 100,
      settings: { 'app.tenant_id': '42' },
    })
    expect(await roundTrips(proxy)).toBe(before + 2)
    // A nested one adds none: SAVEPOINT and RELEASE travel with statements too.
    await proxied.withTransaction(async (tx) => {
      await tx.withTransaction((inner) => inner.query('update counter set n = n + 1'))
    })
    expect(await roundTrips(proxy)).toBe(before + 4)
  })

  test('takes locks with its first statement, at no round trip, and holds them until its end', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const proxied = testPool(proxy.url, { max: 1 })
    await proxied.query('select 1')
    const before = await roundTrips(proxy)
    await proxied.withTransaction((tx) => tx.query('update counter set n = n + 1'), { locks: ['b', 'a', [1, 2]] })
    expect(await roundTrips(proxy)).toBe(before + 2)
    const free = { acquired: true, value: undefined }
    await proxied.withTransaction(
      async (tx) => {
        await tx.query('select 1')
        expect(await pool.tryWithLock('a', async () => undefined)).toEqual({ acquired: false })
        const waits = pool.withTransaction((other) => other.query('select 1'), { locks: 'a', lockTimeoutMs: 20 })
        expect((await rejection(waits)).code).toBe('55P03')
      },
      { locks: ['a', 'b'] },
    )
    expect(await pool.tryWithLock(['a', 'b'], async () => undefined)).toEqual(free)
    const nested = pool.withTransaction(() => pool.withTransaction(async () => undefined, { locks: 7n }))
    expect((await rejection(nested)).message).toContain('locks is "7n"')
  })

  test('begins as it was asked to, and leaves nothing of it behind', async () => {
    const single = testPool(database.url, { max: 1 })
    const ask = `select current_setting('transaction_isolation') as isolation, current_setting('transaction_read_only') as ro,
      current_setting('transaction_deferrable') as deferrable, current_setting('lock_timeout') as lock, current_user as who,
      current_setting('statement_timeout') as statement, current_setting('idle_in_transaction_session_timeout') as idle,
      current_setting('app.tenant_id', true) as tenant`
    const { rows } = await single.withTransaction((tx) => tx.query(ask), {
      isolation: 'serializable',
      readOnly: true,
      deferrable: true,
      lockTimeoutMs: 1500,
      statementTimeoutMs: 2500,
      idleTimeoutMs: 3500,
      role: 'tenant_role',
      settings: { 'app.tenant_id': "4'2" },
    })
    expect(rows).toEqual([
      {
        isolation: 'serializable',
        ro: 'on',
        deferrable: 'on',
        lock: '1500ms',
        who: 'tenant_role',
        statement: '2500ms',
        idle: '3500ms',
        tenant: "4'2",
      },
    ])
    const { rows: after } = await single.query(ask)
    expect(after[0]).toMatchObject({ isolation: 'read committed', ro: 'off', lock: '0', tenant: '' })
    expect(after[0]?.['who']).not.toBe('tenant_role')
  })

  test('whose BEGIN fails runs nothing, not even statements asked for at the same time', async () => {
    const outcomes: PromiseSettledResult<unknown>[] = []
    const error = await rejection(
      pool.withTransaction(
        async (tx) => {
          outcomes.push(
            ...(await Promise.allSettled([
              tx.query("insert into entry values (1, 'first')"),
              tx.query("insert into entry values (2, 'second')"),
              tx.query("insert into entry values (3, 'third')"),
            ])),
          )
        },
        { settings: { no_such_parameter_anywhere: 1 } },
      ),
    )
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
    expect(error).toBeInstanceOf(TransactionRolledBackError)
    expect(sqlStateOf(error)).toBe('42704')
    expect(await notes()).toEqual([])
  })

  test('runs a text of several statements first, as later', async () => {
    await pool.withTransaction(async (tx) => {
      await tx.query("insert into entry values (1, 'a'); insert into entry values (2, 'b;')")
    })
    expect(await notes()).toEqual(['a', 'b;'])
  })

  test('that swallowed the failure of a statement is rejected, as nothing was committed', async () => {
    const error = await rejection(
      pool.withTransaction(async (tx) => {
        await tx.query('update counter set n = 1')
        await tx.query('select 1/0').catch(() => undefined)
      }),
    )
    expect(error).toBeInstanceOf(TransactionRolledBackError)
    expect(sqlStateOf(error)).toBe('22012')
    expect(await counter()).toBe(0)
  })

  test('that fails at COMMIT rejects with what the server said, and its connection goes on', async () => {
    const error = await rejection(pool.withTransaction((tx) => tx.query('insert into child values (7)')))
    expect(error.code).toBe('23503')
    expect((await pool.query('select 1 from child')).rows).toEqual([])
    expect(pool.stats()).toMatchObject({ pool: { closed: 0, active: 0 } })
  })

  test('cannot be used once it is over, neither by its handle nor by what was started inside', async () => {
    let kept: Transaction | undefined
    let later: (() => Promise<unknown>) | undefined
    await pool.withTransaction(async (tx) => {
      kept = tx
      await tx.query('select 1')
      const { promise, resolve } = Promise.withResolvers<void>()
      const started = promise.then(() => pool.query("insert into entry values (1, 'too late')"))
      later = () => {
        resolve()
        return started
      }
    })
    expect(await rejection(kept?.query('select 1') ?? Promise.resolve())).toBeInstanceOf(TransactionClosedError)
    expect(await rejection(later?.() ?? Promise.resolve())).toBeInstanceOf(TransactionClosedError)
    expect(await notes()).toEqual([])
  })

  test('ended by its own COMMIT statement is rejected, and what follows does not run outside of it', async () => {
    const error = await rejection(
      pool.withTransaction(async (tx) => {
        await tx.query("insert into entry values (1, 'committed by hand')")
        await tx.query('commit')
        await tx.query("insert into entry values (2, 'stray')")
      }),
    )
    expect(error).toBeInstanceOf(TransactionClosedError)
    expect(await notes()).toEqual(['committed by hand'])
  })

  test('waits for queries that its callback forgot to wait for', async () => {
    await pool.withTransaction(async (tx) => {
      void tx.query("insert into entry select 1, 'forgotten' from pg_sleep(0.02)")
    })
    expect(await notes()).toEqual(['forgotten'])
  })

  test('stops siblings that still run when one statement fails, and rolls back at once', async () => {
    const before = performance.now()
    await rejection(
      pool.withTransaction(async (tx) => {
        await tx.query('select 1')
        await Promise.all([tx.query('select 1/0'), tx.query('select pg_sleep(30)')])
      }),
    )
    expect(performance.now() - before).toBeLessThan(10_000)
    expect(pool.stats().pool.active).toBe(0)
  })
})

describe('the ambient transaction', () => {
  test('takes in queries on the pool, whoever makes them', async () => {
    async function elsewhere(): Promise<void> {
      await pool.query('update counter set n = n + 1')
    }
    await rejection(
      pool.withTransaction(async () => {
        await elsewhere()
        expect(await counter()).toBe(1)
        throw new Error('undo')
      }),
    )
    expect(await counter()).toBe(0)
  })

  test('puts concurrent queries on one connection', async () => {
    await pool.withTransaction(async () => {
      const results = await Promise.all(
        Array.from({ length: 10 }, () => pool.query<{ pid: number }>('select pg_backend_pid() as pid')),
      )
      expect(new Set(results.map(({ rows }) => rows[0]?.pid)).size).toBe(1)
      expect(pool.stats().pool.active).toBe(1)
    })
  })

  test('can be left with outsideTransaction', async () => {
    await rejection(
      pool.withTransaction(async (tx) => {
        await tx.query("insert into entry values (1, 'inside')")
        await pool.outsideTransaction(() => pool.query("insert into entry values (2, 'outside')"))
        throw new Error('undo')
      }),
    )
    expect(await notes()).toEqual(['outside'])
  })

  test('names a caller that waits for a second connection while it holds the only one', async () => {
    const single = testPool(database.url, { max: 1, acquireTimeoutMs: 30_000 })
    const error = await rejection(
      single.withTransaction(async (tx) => {
        await tx.query('select 1')
        await single.acquire()
      }),
    )
    expect(error).toMatchObject({ code: 'LIFEGUARD_SELF_DEADLOCK' })
    expect(single.stats().pool.active).toBe(0)
  })
})

describe('a nested transaction', () => {
  test('undoes only its own work when it fails', async () => {
    await pool.withTransaction(async (tx) => {
      await tx.query("insert into entry values (1, 'outer')")
      await rejection(
        tx.withTransaction(async (inner) => {
          await inner.query("insert into entry values (2, 'inner')")
          await inner.query('select 1/0')
        }),
      )
      await pool.withTransaction(() => pool.query("insert into entry values (3, 'second inner')"))
    })
    expect(await notes()).toEqual(['outer', 'second inner'])
  })

  test('that swallowed a failed statement is rejected by itself, and the outer one goes on', async () => {
    await pool.withTransaction(async (tx) => {
      await tx.query("insert into entry values (1, 'outer')")
      const error = await rejection(
        tx.withTransaction(async (inner) => {
          await inner.query('select 1/0').catch(() => undefined)
        }),
      )
      expect(error).toBeInstanceOf(TransactionRolledBackError)
    })
    expect(await notes()).toEqual(['outer'])
  })

  test('keeps its siblings out while it runs: they take turns', async () => {
    await pool.withTransaction(async (tx) => {
      const outcomes = await Promise.allSettled(
        Array.from({ length: 6 }, (_, i) =>
          tx.withTransaction(async (inner) => {
            await inner.query('insert into entry values ($1, $2)', [i, `n${i}`])
            await inner.query('select pg_sleep(0.001)')
            if (i % 2 === 0) throw new Error('even')
          }),
        ),
      )
      expect(outcomes.map(({ status }) => status)).toEqual([
        'rejected',
        'fulfilled',
        'rejected',
        'fulfilled',
        'rejected',
        'fulfilled',
      ])
    })
    expect(await notes()).toEqual(['n1', 'n3', 'n5'])
  })

  test('does not take in what the outer level writes at the same time', async () => {
    await pool.withTransaction(async (tx) => {
      const started = Promise.withResolvers<void>()
      const nested = rejection(
        tx.withTransaction(async (inner) => {
          await inner.query("insert into entry values (1, 'inner')")
          started.resolve()
          await inner.query('select pg_sleep(0.02)')
          throw new Error('undo the inner one')
        }),
      )
      await started.promise
      await tx.query("insert into entry values (2, 'outer, meanwhile')")
      await nested
    })
    expect(await notes()).toEqual(['outer, meanwhile'])
  })

  test('takes in queries made through the handle of an outer one inside of it', async () => {
    await pool.withTransaction(async (outer) => {
      await rejection(
        outer.withTransaction(async () => {
          await outer.query("insert into entry values (1, 'by the outer handle')")
          throw new Error('undo')
        }),
      )
    })
    expect(await notes()).toEqual([])
  })

  test('cannot ask for another isolation than the outer one has', async () => {
    const error = await rejection(
      pool.withTransaction(() => pool.withTransaction(async () => undefined, { isolation: 'serializable' })),
    )
    expect(error).toBeInstanceOf(InvalidArgumentError)
    expect(error.message).toContain('isolation')
    await pool.withTransaction(
      () => pool.withTransaction((tx) => tx.query('select 1'), { isolation: 'serializable' }),
      {
        isolation: 'serializable',
      },
    )
  })

  test('ends at its own deadline, and the outer one goes on', async () => {
    await pool.withTransaction(async (tx) => {
      await tx.query("insert into entry values (1, 'outer')")
      const error = await rejection(
        tx.withTransaction((inner) => inner.query('select pg_sleep(30)'), { timeoutMs: 30 }),
      )
      expect(error).toBeInstanceOf(OperationTimeoutError)
      await tx.query("insert into entry values (2, 'still outer')")
    })
    expect(await notes()).toEqual(['outer', 'still outer'])
  })
})

describe('a retry', () => {
  test('runs the whole callback again after a serialization failure, and counts attempts', async () => {
    const attempts: number[] = []
    // The first two have both read before either writes: one of them has to run again.
    let read = 0
    const bothHaveRead = Promise.withResolvers<void>()
    await Promise.all(
      Array.from({ length: 20 }, () =>
        pool.withTransaction(
          async (tx) => {
            attempts.push(tx.attempt)
            const { rows } = await tx.query<{ n: number }>('select n from counter where id = 1')
            read += 1
            if (read === 2) bothHaveRead.resolve()
            if (read <= 2) await bothHaveRead.promise
            await tx.query('update counter set n = $1 where id = 1', [(rows[0]?.n ?? 0) + 1])
          },
          { isolation: 'serializable', retry: { attempts: 100 } },
        ),
      ),
    )
    expect(await counter()).toBe(20)
    expect(attempts.filter((attempt) => attempt === 1)).toHaveLength(20)
    expect(attempts.length).toBeGreaterThan(20)
  })

  test('also happens when the callback wrapped the failure, or swallowed it', async () => {
    for (const how of ['wrapped', 'swallowed', 'other'] as const) {
      let runs = 0
      await pool.withTransaction(async (tx) => {
        runs += 1
        await tx.query('select 1')
        if (runs > 1) return
        const failing = tx.query("do $$ begin raise exception 'again' using errcode = '40001'; end $$")
        if (how === 'wrapped') await failing.catch((cause: unknown) => Promise.reject(new Error('mine', { cause })))
        else if (how === 'swallowed') await failing.catch(() => undefined)
        else await failing.catch(() => Promise.reject(new Error('another one')))
      })
      expect(runs).toBe(2)
    }
  })

  test('does not happen for what would fail the same again, nor when switched off, nor beyond the attempts', async () => {
    let runs = 0
    await rejection(
      pool.withTransaction(async (tx) => {
        runs += 1
        await tx.query('select 1/0')
      }),
    )
    expect(runs).toBe(1)
    const conflict = async (tx: Transaction): Promise<void> => {
      runs += 1
      await tx.query("do $$ begin raise exception 'again' using errcode = '40P01'; end $$")
    }
    runs = 0
    expect((await rejection(pool.withTransaction(conflict, { retry: false }))).code).toBe('40P01')
    expect(runs).toBe(1)
    runs = 0
    expect(
      (await rejection(pool.withTransaction(conflict, { retry: { attempts: 3, backoff: { baseMs: 1 } } }))).code,
    ).toBe('40P01')
    expect(runs).toBe(3)
  })

  test('uses a new connection when the old one was killed before COMMIT, idle or in a statement', async () => {
    const admin = testPool(database.url, { max: 1 })
    for (const moment of ['idle', 'busy'] as const) {
      let runs = 0
      await pool.withTransaction(async (tx) => {
        runs += 1
        const { rows } = await tx.query<{ pid: number }>('select pg_backend_pid() as pid')
        await tx.query('update counter set n = n + 1')
        if (runs > 1) return
        const sleeping = moment === 'busy' ? rejection(tx.query('select pg_sleep(30)')) : undefined
        await admin.query('select pg_terminate_backend($1)', [rows[0]?.pid])
        if (sleeping !== undefined) throw await sleeping
        await tx.query('select 1')
      })
      expect(runs).toBe(2)
    }
    expect(await counter()).toBe(2)
  })

  test('is bounded by the budget of the pool while every connection is lost', async () => {
    const small = testPool(database.url, { max: 2, retryBudget: { reserve: 3 } })
    let runs = 0
    const suicide = async (tx: Transaction): Promise<void> => {
      runs += 1
      await tx.query('select pg_terminate_backend(pg_backend_pid())')
    }
    for (let i = 0; i < 4; i++)
      await rejection(small.withTransaction(suicide, { retry: { attempts: 10, backoff: { baseMs: 1, capMs: 2 } } }))
    expect(runs).toBe(4 + 3)
  })
})

describe('a deadline', () => {
  test('ends the transaction on the server and answers the caller, whatever the callback does', async () => {
    const never = Promise.withResolvers<void>()
    const error = await answeredInTime(() =>
      pool.withTransaction(
        async (tx) => {
          await tx.query('update counter set n = 1')
          await never.promise
        },
        { timeoutMs: 50 },
      ),
    )
    expect(error).toBeInstanceOf(OperationTimeoutError)
    expect(error).toMatchObject({ outcome: 'cancelled' })
    await eventually('the connection is back', () => pool.stats().pool.active === 0)
    expect(await counter()).toBe(0)
    never.resolve()
  })

  test('cancels a statement that runs, and a signal does as well', async () => {
    expect(
      await rejection(pool.withTransaction((tx) => tx.query('select pg_sleep(30)'), { timeoutMs: 30 })),
    ).toBeInstanceOf(OperationTimeoutError)
    const controller = new AbortController()
    const aborted = rejection(
      pool.withTransaction((tx) => tx.query('select pg_sleep(30)'), { signal: controller.signal }),
    )
    await eventually('it runs', () => pool.stats().pool.active === 1)
    controller.abort()
    expect((await aborted).name).toBe('AbortError')
    await eventually('the connection is back', () => pool.stats().pool.active === 0)
    expect(pool.stats().pool.closed).toBe(0)
  })

  test('ends the pauses between attempts too', async () => {
    const error = await rejection(
      pool.withTransaction((tx) => tx.query("do $$ begin raise exception 'again' using errcode = '40001'; end $$"), {
        timeoutMs: 60,
        retry: { attempts: 1_000, backoff: { baseMs: 20, capMs: 20 } },
      }),
    )
    expect(error).toBeInstanceOf(OperationTimeoutError)
  })
})

describe('a COMMIT whose answer is lost', () => {
  test('is reported as unknown and never as rolled back; it is not run again', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const proxied = testPool(proxy.url, { max: 2 })
    for (let i = 0; i < 10; i++) {
      await proxy.rule({ statement: 'COMMIT', when: 'after', action: 'cut' })
      let runs = 0
      const error = await rejection(
        proxied.withTransaction(async (tx) => {
          runs += 1
          await tx.query('insert into entry values ($1, $2)', [i, 'sent'])
        }),
      )
      expect(error).toBeInstanceOf(CommitUnknownError)
      expect(error).toMatchObject({ code: 'LIFEGUARD_COMMIT_UNKNOWN', retryable: false })
      expect(error.cause).toBeInstanceOf(Error)
      expect(runs).toBe(1)
    }
    await eventually('the server has committed all of them', async () => (await notes()).length === 10)
  })

  test('is unknown too when its caller runs out of time', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const proxied = testPool(proxy.url, { max: 2 })
    await proxied.query('select 1')
    await proxy.rule({
      direction: 'to-client',
      message: 'CommandComplete',
      text: 'COMMIT',
      when: 'before',
      action: 'stall',
    })
    const error = await rejection(
      proxied.withTransaction((tx) => tx.query("insert into entry values (1, 'hung')"), { timeoutMs: 100 }),
    )
    expect(error).toBeInstanceOf(CommitUnknownError)
    expect(error.cause).toBeInstanceOf(OperationTimeoutError)
    expect(await notes()).toEqual(['hung'])
  })

  test('was not sent at all when the connection is cut in front of it', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const proxied = testPool(proxy.url, { max: 2 })
    await proxy.rule({ statement: 'COMMIT', when: 'before', action: 'cut' })
    const error = await rejection(proxied.withTransaction((tx) => tx.query("insert into entry values (1, 'unsent')")))
    // The client had written it; that no byte arrived is more than it can know.
    expect(error).toBeInstanceOf(CommitUnknownError)
    expect(await notes()).toEqual([])
  })
})

describe('a controlled transaction', () => {
  test('commits and rolls back by hand, and leaving its block rolls back', async () => {
    const first = await pool.beginTransaction({ isolation: 'repeatable read' })
    await first.query("insert into entry values (1, 'kept')")
    await first.commit()
    const second = await pool.beginTransaction()
    await second.query("insert into entry values (2, 'rolled back')")
    await second.rollback()
    {
      await using third = await pool.beginTransaction()
      await third.query("insert into entry values (3, 'left')")
    }
    expect(await notes()).toEqual(['kept'])
    expect(await rejection(first.query('select 1'))).toBeInstanceOf(TransactionClosedError)
    expect(pool.stats().pool.active).toBe(0)
  })

  test('inside another transaction is a savepoint of it', async () => {
    await pool.withTransaction(async () => {
      const first = await pool.beginTransaction()
      await first.query("insert into entry values (1, 'undone')")
      await pool.query("insert into entry values (2, 'undone with it')")
      await first.rollback()
      const second = await pool.beginTransaction()
      await second.query("insert into entry values (3, 'kept')")
      await second.commit()
      await pool.query("insert into entry values (4, 'behind')")
    })
    expect(await notes()).toEqual(['kept', 'behind'])
  })
})
