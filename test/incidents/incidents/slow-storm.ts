import { setTimeout as sleep } from 'node:timers/promises'
import { createPool } from '@pg-lifeguard/core'
import { startCluster } from '@pg-lifeguard/testing'
import { percentile, withLag } from '../../outages/callers.js'
import { until } from '../../support/until.js'
import type { Incident } from '../incident.js'
import { callersOf, firstSuccess, lastFailure, ms, outcomes, seenBy, warm } from '../load.js'
import { Watch } from '../watch.js'

const max = 10
const perSecond = 100
const patienceMs = 1_000
const lateMs = 50
/** Who has come before the end may wait in vain for as long as he likes. */
const backMs = patienceMs + 500

const work = (seconds: number): string =>
  `create or replace function work() returns int language plpgsql as $$ begin perform pg_sleep(${seconds}); return 1; end $$`

/** A plan has changed: what took 5 ms takes longer than anybody waits. */
export const slowStorm: Incident = {
  name: 'slow-storm',
  title: `a statement of 5 ms takes 30 s, for 8 s; ${perSecond} of them a second on ${max} connections, each caller waits ${patienceMs} ms`,
  async run({ scale }) {
    const stormMs = 8_000 * scale
    await using cluster = await startCluster()
    await using database = await cluster.createDatabase()
    await using admin = createPool({ connectionString: database.url, applicationName: 'admin', max: 1 })
    await admin.query(work(0.005))
    await using pool = createPool({ connectionString: database.url, max, applicationName: 'storm' })
    await using watch = new Watch(pool, 200)
    await warm(pool, max)
    const callers = callersOf(pool, 'select work()', patienceMs)
    const { value, lagMs } = await withLag(async () => {
      const offering = callers.offer(perSecond, 1_000 + stormMs + Math.max(2_500, 6_000 * scale))
      await sleep(1_000)
      await admin.query(work(30))
      await sleep(stormMs / 2)
      const active = pool.active()
      await sleep(stormMs / 2)
      await admin.query(work(0.005))
      const endAt = performance.now()
      await offering
      await callers.answered()
      return { endAt, active }
    })
    const { endAt, active } = value
    const slowest = percentile(
      callers.answers.map(({ tookMs }) => tookMs),
      1,
    )
    const left = async (): Promise<number> => {
      const { rows } = await admin.query<{ n: number }>(
        "select count(*)::int as n from pg_stat_activity where application_name = 'storm' and state = 'active'",
      )
      return rows[0]?.n ?? 0
    }
    const leftOver = await until('nothing works any more', async () => (await left()) === 0).then(() => 0, left)
    const untyped = Object.keys(outcomes(callers.answers)).filter(
      (one) => one !== 'ok' && !one.startsWith('LIFEGUARD_'),
    )
    const downs = watch.checks.filter(({ status }) => status === 'down').length
    return {
      figures: {
        ...seenBy(callers),
        'first success after the storm, ms': ms(firstSuccess(callers, endAt)),
        'last failure after the storm, ms': ms(lastFailure(callers, endAt)),
        'active(), in the storm': `${active.length} in use, ${active.filter(({ text }) => text === 'select work()').length} with the statement`,
        'statements at work when all was over': leftOver,
        'longest pause of the process, ms': Math.round(lagMs),
        ...watch.figures(),
      },
      claims: [
        {
          claim: `every caller is answered within ${patienceMs} ms`,
          holds: slowest <= patienceMs + lateMs + lagMs,
          seen: `${Math.round(slowest)} ms`,
        },
        {
          claim: 'every error has a code of the pool',
          holds: untyped.length === 0,
          seen: `without: ${untyped.length}`,
        },
        { claim: 'nothing works on for a caller who has gone', holds: leftOver === 0, seen: `${leftOver} left` },
        { claim: 'health() never calls the server down', holds: downs === 0, seen: `${downs} times` },
        {
          claim: `all goes well again within ${backMs} ms after the storm`,
          holds: firstSuccess(callers, endAt) <= backMs && lastFailure(callers, endAt) <= backMs,
          seen: `first success ${ms(firstSuccess(callers, endAt))} ms, last failure ${ms(lastFailure(callers, endAt))} ms`,
        },
      ],
    }
  },
}
