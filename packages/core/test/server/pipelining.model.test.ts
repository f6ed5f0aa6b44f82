import { useDatabase } from '@pg-lifeguard/testing/vitest'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { longEnough, seeded } from '../support/seeded.js'
import { eventually, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table written (mark int, round int)' })

const write = 'insert into written select $1::int, $2::int from pg_sleep($3) returning mark'
const fail = 'insert into written select $1::int, $2::int / 0 returning mark'

/** What a caller does. */
type Deed =
  | { readonly kind: 'write'; readonly sleepMs: number }
  | { readonly kind: 'fail' }
  | { readonly kind: 'timeout'; readonly sleepMs: number; readonly timeoutMs: number }
  | { readonly kind: 'abort'; readonly sleepMs: number; readonly afterMs: number }
  | { readonly kind: 'transaction' }
  | { readonly kind: 'kill' }

const smallMs = fc.integer({ min: 0, max: 12 })
const deed: fc.Arbitrary<Deed> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({ kind: fc.constant('write' as const), sleepMs: fc.constantFrom(0, 0, 0, 1, 5) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('fail' as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('timeout' as const), sleepMs: smallMs, timeoutMs: smallMs }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('abort' as const), sleepMs: smallMs, afterMs: smallMs }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('transaction' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('kill' as const) }) },
)

/** Errors of callers who got no connection; behind a kill, one may still be on its way when a caller's time is up. */
const notSent: ReadonlySet<string> = new Set([
  'LIFEGUARD_ACQUIRE_TIMEOUT',
  'LIFEGUARD_SERVER_UNAVAILABLE',
  'LIFEGUARD_BREAKER_OPEN',
])

/** What is in the table afterwards, as far as the outcome tells: how often the row may be there. */
function allowed(outcome: PromiseSettledResult<unknown>): readonly number[] {
  if (outcome.status === 'fulfilled') return [1]
  const { code, outcome: said, sent } = outcome.reason as { code?: string; outcome?: string; sent?: boolean }
  if (said === 'cancelled' || said === 'not-sent' || code === '22012' || notSent.has(code ?? '')) return [0]
  if (
    said === 'unknown' ||
    code === 'LIFEGUARD_COMMIT_UNKNOWN' ||
    code === '57P01' ||
    (code === 'LIFEGUARD_CONNECTION_LOST' && sent === true)
  )
    return [0, 1]
  throw new Error(`an outcome that nobody expects: ${String(outcome.reason)} ${code} ${said}`)
}

test(
  'whatever happens on pipelined connections, everybody gets one answer, his own, and it is true',
  async () => {
    const admin = testPool(database.url, { max: 1, name: 'admin' })
    let round = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(deed, { minLength: 1, maxLength: 80 }),
        fc.integer({ min: 1, max: 3 }),
        async (deeds, max) => {
          round += 1
          const mine = round
          const name = `lanes-${mine}`
          const pool = testPool(database.url, { max, name, pipelining: { slowAfterMs: 200 }, acquireTimeoutMs: 30_000 })
          for (let n = 0; n < 3; n++) await pool.query(write, [-1, mine, 0])
          const run = async (what: Deed, mark: number): Promise<unknown> => {
            switch (what.kind) {
              case 'write':
                return (await pool.query(write, [mark, mine, what.sleepMs / 1_000])).rows[0]?.['mark']
              case 'fail':
                return await pool.query(fail, [mark, mine])
              case 'timeout':
                return (await pool.query(write, [mark, mine, what.sleepMs / 1_000], { timeoutMs: what.timeoutMs }))
                  .rows[0]?.['mark']
              case 'abort': {
                const controller = new AbortController()
                const timer = setTimeout(() => controller.abort(), what.afterMs)
                const options = { signal: controller.signal }
                const asked = pool.query(write, [mark, mine, what.sleepMs / 1_000], options)
                return (await asked.finally(() => clearTimeout(timer))).rows[0]?.['mark']
              }
              case 'transaction':
                return await pool.withTransaction(
                  async (tx) => (await tx.query(write, [mark, mine, 0])).rows[0]?.['mark'],
                )
              case 'kill':
                await admin.query(
                  'select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1 limit 1',
                  [name],
                )
                return (await pool.query(write, [mark, mine, 0])).rows[0]?.['mark']
            }
          }
          const outcomes = await Promise.allSettled(deeds.map(run))
          await eventually('everything has come to rest', () => pool.stats().pool.active === 0)
          const { rows } = await admin.query<{ mark: number; n: number }>(
            'select mark, count(*)::int as n from written where round = $1 group by mark',
            [mine],
          )
          const times = new Map(rows.map(({ mark, n }) => [mark, n]))
          for (const [mark, outcome] of outcomes.entries()) {
            if (outcome.status === 'fulfilled') expect(outcome.value).toBe(mark)
            expect(allowed(outcome), `${JSON.stringify(deeds[mark])} ${JSON.stringify(outcome)}`).toContain(
              times.get(mark) ?? 0,
            )
          }
          expect(pool.stats()).toMatchObject({ waits: { waiting: 0 }, pool: { shared: 0 } })
          await pool.end()
        },
      ),
      seeded(25),
    )
  },
  longEnough(120_000),
)
