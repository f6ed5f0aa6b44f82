import { setTimeout as sleep } from 'node:timers/promises'
import { createPool } from '@pg-lifeguard/core'
import { startCluster, startFaultProxy } from '@pg-lifeguard/testing'
import pg from 'pg'
import { busiestSecond, listed } from '../../outages/callers.js'
import type { Incident } from '../incident.js'
import { callersOf, firstSuccess, lastFailure, ms, outcomes, seenBy } from '../load.js'
import { Watch } from '../watch.js'

const max = 10
const maxConnections = 20
const left = 3
const perSecond = 100
const patienceMs = 2_000
const backMs = 1_000
/** Those of the pool, and two of `health()`. */
const attemptsASecond = 17

/** Sessions of other programs: as many as the server takes. */
async function fill(url: string): Promise<pg.Client[]> {
  const others: pg.Client[] = []
  for (;;) {
    const client = new pg.Client(url)
    // It is ended by hand; that the server may end it first is not looked at.
    client.on('error', () => undefined)
    try {
      await client.connect()
    } catch (error) {
      if ((error as { readonly code?: string }).code !== '53300') throw error
      return others
    }
    others.push(client)
  }
}

/** The server takes fewer sessions than its users expect: first none of this pool, then three, then all. */
export const serverFull: Incident = {
  name: 'server-full',
  title: `no session is left for 5 s (53300), then ${left} of ${max} for 5 s; ${perSecond} queries of 20 ms a second, each caller waits ${patienceMs} ms`,
  async run({ scale }) {
    const partMs = Math.max(5_000 * scale, 2_500)
    await using cluster = await startCluster({ settings: { max_connections: String(maxConnections) } })
    await using database = await cluster.createDatabase()
    await using admin = createPool({ connectionString: database.url, max: 1, min: 1 })
    await admin.query("create role app login password 'x'")
    const direct = new URL(database.url)
    Object.assign(direct, { username: 'app', password: 'x' })
    await using proxy = await startFaultProxy({ target: direct.href })
    await using pool = createPool({ connectionString: proxy.url, max })
    const others = await fill(direct.href)
    try {
      await using watch = new Watch(pool, 1_000)
      const callers = callersOf(pool, 'select pg_sleep(0.02)', patienceMs)
      const before = (await proxy.stats()).connectTimes.length
      const offering = callers.offer(perSecond, partMs * 2 + Math.max(1_500, 4_000 * scale))
      await sleep(partMs)
      const fullUntil = performance.now()
      await Promise.all(others.splice(0, left).map((one) => one.end()))
      const someAt = performance.now()
      await sleep(partMs)
      const withSome = pool.stats().pool.total
      const allAt = performance.now()
      await Promise.all(others.splice(0).map((one) => one.end()))
      await offering
      await callers.answered()
      const attempts = busiestSecond((await proxy.stats()).connectTimes.slice(before).map(Number))
      const whileFull = callers.answers.filter(({ answeredAt }) => answeredAt < fullUntil)
      const whileSome = callers.answers.filter(({ calledAt }) => calledAt > someAt + backMs && calledAt < allAt)
      const failedWithSome = whileSome.filter(({ outcome }) => outcome !== 'ok').length
      const said = Object.keys(outcomes(whileFull))
      const downs = watch.checks.filter(({ status }) => status === 'down').length
      const { opened } = pool.stats().pool
      return {
        figures: {
          ...seenBy(callers),
          'while no place was left': listed(outcomes(whileFull)),
          [`with ${left} places, after the first second`]: listed(outcomes(whileSome)),
          'connections with three places': withSome,
          'first success after there were places, ms': ms(firstSuccess(callers, someAt)),
          'last failure after there were enough, ms': ms(lastFailure(callers, allAt)),
          'connects in the busiest second': attempts,
          'connections opened in all': opened,
          ...watch.figures(),
        },
        claims: [
          {
            claim: 'the error says that the server has no place, not that the pool is busy',
            holds: said.every((one) => /^(LIFEGUARD_(SERVER_UNAVAILABLE|BREAKER_OPEN|TIMEOUT \(not-sent\)))/.test(one)),
            seen: listed(outcomes(whileFull)),
          },
          {
            claim: 'health() is degraded for want of a place, and never down',
            holds:
              downs === 0 && watch.checks.some(({ status, codes }) => status === 'degraded' && codes.includes('53300')),
            seen: `down ${downs} times`,
          },
          {
            claim: `no storm: at most ${attemptsASecond} attempts a second to connect, those of health() counted`,
            holds: attempts <= attemptsASecond,
            seen: `${attempts}`,
          },
          {
            claim: `the pool works within ${backMs} ms after there is a place`,
            holds: firstSuccess(callers, someAt) <= backMs,
            seen: `${ms(firstSuccess(callers, someAt))} ms`,
          },
          {
            claim: `with ${left} of ${max} connections nobody is refused, within the load of this machine`,
            holds: failedWithSome === 0,
            seen: `${failedWithSome} of ${whileSome.length}`,
          },
        ],
      }
    } finally {
      await Promise.all(others.map((one) => one.end()))
    }
  },
}
