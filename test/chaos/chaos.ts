import { createPool } from '@pg-lifeguard/core'
import { startCluster, startFaultProxy } from '@pg-lifeguard/testing'
import pg from 'pg'
import { randomFrom } from '../support/random.js'
import { until } from '../support/until.js'
import { audit, setup, type Transfer, work } from './bank.js'
import { type Sabotage, sabotage } from './saboteur.js'

const workers = 10
const applicationName = 'chaos'

/** How a run went. */
export interface Report {
  readonly seed: number
  readonly seconds: number
  readonly transfers: readonly Transfer[]
  readonly sabotage: ReadonlyMap<Sabotage, number>
  /** Commits whose answer was lost, by what was proven of them. */
  readonly ambiguous: ReadonlyMap<string, number>
  /** Times the sum was looked at while money moved. */
  readonly looks: number
  /** What is wrong; nothing when every promise was kept. */
  readonly violations: readonly string[]
}

/** Money moves between accounts while sessions are killed and connections cut, at times and places drawn from the seed. */
export async function runChaos(
  seed: number,
  seconds: number,
  onProgress: (transfers: number, left: number) => void = () => undefined,
): Promise<Report> {
  await using cluster = await startCluster({ handleSignals: true, settings: { deadlock_timeout: '50ms' } })
  await using database = await cluster.createDatabase()
  await using proxy = await startFaultProxy({ target: database.url })
  const admin = new pg.Client(database.url)
  await admin.connect()
  await admin.query(setup)
  const pool = createPool({ connectionString: proxy.url, applicationName, max: workers + 2, acquireTimeoutMs: 20_000 })
  const ambiguous = new Map<string, number>()
  pool.on('ambiguous-commit', ({ outcome }) => ambiguous.set(outcome, (ambiguous.get(outcome) ?? 0) + 1))

  const transfers: Transfer[] = []
  const violations: string[] = []
  const end = performance.now() + seconds * 1_000
  const isOver = (): boolean => performance.now() >= end
  let looks = 0
  const watch = async (): Promise<void> => {
    while (!isOver()) {
      const { rows } = await admin.query<{ sum: number }>('select sum(balance)::int as sum from account')
      looks += 1
      violations.push(...audit(rows[0]?.sum ?? 0, new Map(), []))
      onProgress(transfers.length, Math.max(0, end - performance.now()))
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
  try {
    const [broken] = await Promise.all([
      sabotage({ proxy, admin, applicationName }, randomFrom(seed), isOver),
      watch(),
      ...Array.from({ length: workers }, (_, i) => work(pool, `${i}`, randomFrom(seed + 1 + i), transfers, isOver)),
    ])
    await pool.end()
    await until('no session is left', async () => {
      const { rows } = await admin.query('select from pg_stat_activity where application_name = $1', [applicationName])
      return rows.length === 0
    })
    const { rows } = await admin.query<{ sum: number }>('select sum(balance)::int as sum from account')
    const made = await admin.query<{ operation: string; n: number }>(
      'select operation, count(*)::int as n from transfer group by 1',
    )
    const counts = new Map(made.rows.map(({ operation, n }) => [operation, n]))
    violations.push(...audit(rows[0]?.sum ?? 0, counts, transfers))
    return { seed, seconds, transfers, sabotage: broken, ambiguous, looks, violations }
  } finally {
    await pool.end({ timeoutMs: 0 })
    await admin.end()
  }
}
