import { setTimeout as sleep } from 'node:timers/promises'
import { startCluster, startFaultProxy } from '@pg-lifeguard/testing'
import pg from 'pg'
import { until } from '../../support/until.js'
import { Callers, listed, percentile, withLag } from '../callers.js'
import type { Scenario } from '../scenario.js'

const max = 10
const perSecond = 100
const patienceMs = 1_000
/** Beyond the longest pause of this process, which is measured: a timer may be late for other reasons. */
const lateMs = 50
const backMs = 1_000
const refusedMs = 5

/** The network takes bytes and delivers none; nothing is closed. */
export const blackhole: Scenario = {
  name: 'blackhole',
  title: `the network stalls for 8 s; ${perSecond} queries a second on ${max} connections, each caller waits ${patienceMs} ms`,
  async run(subject, { scale }) {
    const stallMs = 8_000 * scale
    await using cluster = await startCluster()
    await using database = await cluster.createDatabase()
    await using proxy = await startFaultProxy({ target: database.url })
    const admin = new pg.Client(database.url)
    await admin.connect()
    const session = subject.open(proxy.url, { max, timeoutMs: patienceMs })
    try {
      const callers = new Callers(subject, session, 'select pg_sleep(0.02)')
      const { value, lagMs } = await withLag(async () => {
        const offering = callers.offer(perSecond, 1_000 + stallMs + 4_000)
        await sleep(1_000)
        await proxy.stall()
        const stalledAt = performance.now()
        await sleep(stallMs)
        await proxy.resume()
        const backAt = performance.now()
        await offering
        await callers.answered()
        return { stalledAt, backAt }
      })
      const { stalledAt, backAt } = value
      const during = callers.answers.filter(({ answeredAt, calledAt }) => answeredAt > stalledAt && calledAt < backAt)
      const slowest = percentile(
        during.map(({ tookMs }) => tookMs),
        1,
      )
      const after = callers.answers.filter(({ calledAt }) => calledAt >= backAt)
      const firstOk =
        after.filter(({ outcome }) => outcome === 'ok').reduce((a, b) => Math.min(a, b.answeredAt), Infinity) - backAt
      const lastFailed =
        after.filter(({ outcome }) => outcome !== 'ok').reduce((a, b) => Math.max(a, b.calledAt), backAt) - backAt
      // Who waited already when the breaker opened was not refused at the door.
      const refused = during.filter(({ outcome }) => outcome === 'LIFEGUARD_BREAKER_OPEN')
      const openAt = refused.reduce((a, b) => Math.min(a, b.answeredAt), Number.POSITIVE_INFINITY)
      const refusals = refused.filter(({ calledAt }) => calledAt > openAt).map(({ tookMs }) => tookMs)
      const refusal = percentile(refusals, 0.99)
      // What was given up must not go on working: the statements themselves take 20 ms.
      const left = await countLeft(admin)
      const untyped = during.filter(({ outcome }) => outcome !== 'ok' && !/^(LIFEGUARD_|57014)/.test(outcome)).length
      const outcomes: Record<string, number> = {}
      for (const { outcome } of during) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
      return {
        figures: {
          'slowest answer during the stall, ms': Math.round(slowest),
          'answers without a type of their own': untyped,
          'first success after it is back, ms': Number.isFinite(firstOk) ? Math.round(firstOk) : 'none',
          'last failing call after it is back, ms': Math.round(lastFailed),
          'backends still working': left,
          'answers during the stall': listed(outcomes),
          'refused by the open breaker, p99, ms': Number.isNaN(refusal) ? 'none' : refusal.toFixed(2),
          'longest pause of the process, ms': Math.round(lagMs),
        },
        claims: [
          {
            claim: 'every caller is answered within its own timeout',
            holds: slowest <= patienceMs + lateMs + lagMs,
            seen: `${Math.round(slowest)} ms of ${patienceMs}`,
          },
          { claim: 'every answer has a type', holds: untyped === 0, seen: `${untyped} without` },
          {
            claim: `the pool works within ${backMs} ms after the network is back`,
            holds: firstOk <= backMs && lastFailed <= backMs,
            seen: `first success ${Math.round(firstOk)} ms, last failing call ${Math.round(lastFailed)} ms`,
          },
          {
            claim: `once the breaker is open callers fail within ${refusedMs} ms`,
            holds: refusal <= refusedMs,
            seen: `p99 ${refusal.toFixed(2)} ms of ${refusals.length}`,
          },
          { claim: 'no backend works on a query that was given up', holds: left === 0, seen: `${left} left` },
        ],
      }
    } finally {
      await session.end()
      await admin.end()
    }
  },
}

/** Backends of the pool that run a statement, once those that were on their way had the time to end. */
async function countLeft(admin: pg.Client): Promise<number> {
  const count = async (): Promise<number> => {
    const { rows } = await admin.query<{ n: number }>(
      "select count(*)::int as n from pg_stat_activity where application_name = 'outages' and state = 'active'",
    )
    return rows[0]?.n ?? 0
  }
  return await until('no backend works any more', async () => (await count()) === 0).then(
    () => 0,
    () => count(),
  )
}
