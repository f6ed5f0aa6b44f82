import { createPool, type Pool, type PoolOptions } from '@pg-lifeguard/core'
import { startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { describe, expect, test } from 'vitest'

const workers = 50
const database = useDatabase({ setup: 'create table counter (id int primary key, n int not null)' })

/** Reads and writes in two steps: without isolation, increments would be lost. */
function increment(pool: Pool, id: number, onAttempt: () => void, attempts?: number): Promise<void> {
  return pool.withTransaction(
    async (tx) => {
      onAttempt()
      const { rows } = await tx.query<{ n: number }>('select n from counter where id = $1', [id])
      await tx.query('update counter set n = $1 where id = $2', [(rows[0]?.n ?? 0) + 1, id])
    },
    { isolation: 'serializable', retry: { attempts } },
  )
}

async function sum(pool: Pool): Promise<number | undefined> {
  return (await pool.query<{ n: number }>('select sum(n)::int as n from counter')).rows[0]?.n
}

test.each([10, 50])(
  '50 workers x 20 serializable increments of one row are 1000, over %i connections',
  async (max) => {
    await using pool = createPool({ connectionString: database.url, max, acquireTimeoutMs: 60_000 })
    await pool.query('truncate counter; insert into counter values (1, 0)')
    const retries = new Map<string, number>()
    pool.on('retry', ({ reason }) => retries.set(reason, (retries.get(reason) ?? 0) + 1))
    let attempts = 0
    await Promise.all(
      Array.from({ length: workers }, async () => {
        // Fifty want the same row: the default is not made for that.
        for (let i = 0; i < 20; i++) await increment(pool, 1, () => attempts++, 100)
      }),
    )
    console.info(
      `${max} connections: 1000 increments in ${attempts} attempts, retries: ${JSON.stringify([...retries])}`,
    )
    expect(await sum(pool)).toBe(1_000)
    expect([...retries.keys()]).toEqual(['conflict'])
    expect(attempts).toBe(1_000 + (retries.get('conflict') ?? 0))
  },
  60_000,
)

/** Nothing but the budget is to turn anybody away here. */
const alone = { overload: false, breaker: false } as const

/**
 * 40 % of the work before the fault, 20 % while it makes everything fail, 40 % after. Each worker has a row of its own:
 * what is run again is run again for lost connections alone.
 */
async function throughAFault(
  options: Pick<PoolOptions, 'retryBudget'>,
  each: number,
): Promise<{
  readonly calls: number
  readonly succeeded: number
  readonly attempts: number
  readonly during: { readonly calls: number; readonly attempts: number }
}> {
  await using proxy = await startFaultProxy({ target: database.url })
  await using pool = createPool({ connectionString: proxy.url, acquireTimeoutMs: 60_000, ...alone, ...options })
  await pool.query('truncate counter; insert into counter select id, 0 from generate_series(1, 50) id')
  let attempts = 0
  let succeeded = 0
  const phase = async (increments: number): Promise<void> => {
    await Promise.all(
      Array.from({ length: workers }, async (_, worker) => {
        for (let i = 0; i < increments; i++) {
          await increment(pool, worker + 1, () => attempts++).then(
            () => {
              succeeded += 1
            },
            (error: unknown) => {
              // The only reason for which anything may fail here.
              expect(error).toMatchObject({ code: expect.stringMatching(/^LIFEGUARD_CONNECTION_LOST$/) })
            },
          )
        }
      }),
    )
  }
  await phase(2 * each)
  const before = attempts
  const fault = await proxy.rule({
    direction: 'to-client',
    message: 'CommandComplete',
    text: 'SELECT',
    when: 'before',
    action: 'cut',
    count: Number.POSITIVE_INFINITY,
  })
  await phase(each)
  const during = { calls: workers * each, attempts: attempts - before }
  await fault.remove()
  await phase(2 * each)
  expect(await sum(pool)).toBe(succeeded)
  return { calls: workers * 5 * each, succeeded, attempts, during }
}

describe('a fault that makes everything fail', () => {
  test('adds no more attempts than the budget has, and all attempts stay below 3 x the successes', async () => {
    const { calls, succeeded, attempts, during } = await throughAFault({}, 4)
    console.info(
      `${calls} calls, ${succeeded} succeeded, ${attempts} attempts (${(attempts / succeeded).toFixed(2)} x the successes); ` +
        `during the fault ${during.calls} calls, ${during.attempts} attempts`,
    )
    expect(succeeded).toBe(800)
    expect(attempts).toBeLessThan(3 * succeeded)
    // The reserve of 100, and not a retry more.
    expect(during.attempts).toBe(during.calls + 100)
  }, 60_000)

  test('would add ten times as many without a budget', async () => {
    const { attempts, during, succeeded } = await throughAFault({ retryBudget: { reserve: 1_000_000 } }, 1)
    expect(during.attempts).toBe(10 * during.calls)
    expect(attempts).toBeGreaterThan(3 * succeeded)
  }, 60_000)
})
