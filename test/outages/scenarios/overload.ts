import { setTimeout as sleep } from 'node:timers/promises'
import { startCluster } from '@pg-lifeguard/testing'
import { Callers, listed, percentile } from '../callers.js'
import type { Scenario } from '../scenario.js'

const max = 10
const queryMs = 20
const capacity = (max * 1_000) / queryMs
const patienceMs = 1_000
const goodputShare = 0.9
const p99Ms = 300
const recoveryMs = 1_000
const memoryMb = 300

/** Ten times as much is asked as the pool can do, by callers that do not wait for an answer before they ask again. */
export const overload: Scenario = {
  name: 'overload',
  title: `${max} connections, queries of ${queryMs} ms, ${capacity * 10} a second for 8 s, each caller waits ${patienceMs} ms`,
  async run(subject, { scale }) {
    const loadMs = 8_000 * scale
    await using cluster = await startCluster()
    await using database = await cluster.createDatabase()
    const session = subject.open(database.url, { max, timeoutMs: patienceMs })
    try {
      const callers = new Callers(subject, session, `select pg_sleep(${queryMs / 1_000})`)
      await Promise.all(Array.from({ length: max }, () => callers.call()))
      const warm = callers.answers.length
      const before = process.memoryUsage().rss
      let peak = before
      const memory = setInterval(() => {
        peak = Math.max(peak, process.memoryUsage().rss)
      }, 50)
      const start = performance.now()
      await callers.offer(capacity * 10, loadMs)
      const end = performance.now()
      const recovered = await untilNormal(callers, end)
      await callers.answered()
      clearInterval(memory)
      const load = callers.answers.slice(warm).filter(({ calledAt }) => calledAt < end)
      const good = load.filter(({ outcome, tookMs }) => outcome === 'ok' && tookMs <= patienceMs)
      const goodput = good.filter(({ answeredAt }) => answeredAt <= end).length / ((end - start) / 1_000)
      const p99 = percentile(
        good.map(({ tookMs }) => tookMs),
        0.99,
      )
      const grown = (peak - before) / 2 ** 20
      const slowest = percentile(
        load.map(({ tookMs }) => tookMs),
        1,
      )
      const outcomes: Record<string, number> = {}
      for (const { outcome } of load) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
      return {
        figures: {
          'useful answers a second': Math.round(goodput),
          'of the capacity': `${Math.round((goodput / capacity) * 100)} %`,
          'p50 of them, ms': Math.round(
            percentile(
              good.map(({ tookMs }) => tookMs),
              0.5,
            ),
          ),
          'p99 of them, ms': Math.round(p99),
          'slowest answer of any kind, ms': Math.round(slowest),
          'normal again after the load, ms': Number.isFinite(recovered) ? Math.round(recovered) : 'not within 90 s',
          'memory grown by, MB': Math.round(grown),
          answers: listed(outcomes),
        },
        claims: [
          {
            claim: `at least ${goodputShare * 100} % of the capacity`,
            holds: goodput >= capacity * goodputShare,
            seen: `${Math.round((goodput / capacity) * 100)} %`,
          },
          { claim: `p99 of the successes under ${p99Ms} ms`, holds: p99 < p99Ms, seen: `${Math.round(p99)} ms` },
          {
            claim: `normal latency within ${recoveryMs} ms after the load`,
            holds: recovered <= recoveryMs,
            seen: `${Math.round(recovered)} ms`,
          },
          {
            claim: `memory grows by less than ${memoryMb} MB`,
            holds: grown < memoryMb,
            seen: `${Math.round(grown)} MB`,
          },
        ],
      }
    } finally {
      await session.end()
    }
  },
}

/** How long after the load ten calls in a row take no longer than three queries do; Infinity when that does not come. */
async function untilNormal(callers: Callers, end: number): Promise<number> {
  let inARow = 0
  let since = end
  while (performance.now() - end < 90_000) {
    const { outcome, tookMs, calledAt } = await callers.call()
    inARow = outcome === 'ok' && tookMs < queryMs * 3 ? inARow + 1 : 0
    if (inARow === 1) since = calledAt
    if (inARow === 10) return since - end
    await sleep(5)
  }
  return Number.POSITIVE_INFINITY
}
