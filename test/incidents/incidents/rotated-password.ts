import { setTimeout as sleep } from 'node:timers/promises'
import { createPool } from '@pg-lifeguard/core'
import { startCluster, startFaultProxy } from '@pg-lifeguard/testing'
import { busiestSecond, listed } from '../../outages/callers.js'
import type { Incident } from '../incident.js'
import { callersOf, firstSuccess, lastFailure, ms, outcomes, seenBy, warm } from '../load.js'
import { Watch } from '../watch.js'

const perSecond = 50
const patienceMs = 2_000
const backMs = 1_000
/** Those of the pool, and two of `health()`. */
const attemptsASecond = 17

/** The password is changed in the database first, and where the service looks for it only later. */
export const rotatedPassword: Incident = {
  name: 'rotated-password',
  title: `the password changes, sessions end 2 s later, the service has the new one 5 s after that; ${perSecond} queries a second, each caller waits ${patienceMs} ms`,
  async run({ scale }) {
    await using cluster = await startCluster()
    await using database = await cluster.createDatabase()
    await using admin = createPool({ connectionString: database.url, max: 1 })
    await admin.query("create role app login password 'old'")
    await using proxy = await startFaultProxy({ target: database.url })
    const url = new URL(proxy.url)
    let secret = 'old'
    await using pool = createPool({
      host: url.hostname,
      port: Number(url.port),
      database: url.pathname.slice(1),
      user: 'app',
      password: () => secret,
    })
    await using watch = new Watch(pool, 1_000)
    await warm(pool, 2)
    const callers = callersOf(pool, 'select 1', patienceMs)
    const offering = callers.offer(perSecond, 1_000 + 7_000 * scale + Math.max(1_500, 3_000 * scale))
    await sleep(1_000)
    await admin.query("alter role app password 'new'")
    const changedAt = performance.now()
    await sleep(2_000 * scale)
    const endedAt = performance.now()
    await admin.query("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'")
    const before = (await proxy.stats()).connectTimes.length
    await sleep(5_000 * scale)
    const during = await watch.check()
    const attempts = busiestSecond((await proxy.stats()).connectTimes.slice(before).map(Number))
    secret = 'new'
    const endAt = performance.now()
    await offering
    await callers.answered()
    const after = await watch.check()
    const early = callers.answers.filter(
      ({ outcome, calledAt, answeredAt }) => outcome !== 'ok' && calledAt > changedAt && answeredAt < endedAt,
    )
    const meanwhile = callers.answers.filter(({ calledAt }) => calledAt > endedAt && calledAt < endAt)
    return {
      figures: {
        ...seenBy(callers),
        'while no session could be opened': listed(outcomes(meanwhile)),
        'first success after the new password, ms': ms(firstSuccess(callers, endAt)),
        'last failure after that, ms': ms(lastFailure(callers, endAt)),
        'connects in the busiest second': attempts,
        ...watch.figures(),
      },
      claims: [
        {
          claim: 'nobody notices while there are sessions',
          holds: early.length === 0,
          seen: `${early.length} failed: ${listed(outcomes(early))}`,
        },
        {
          claim: "the error is that of the login, with the server's own code",
          holds: meanwhile.some(({ outcome }) => outcome === '28P01'),
          seen: listed(outcomes(meanwhile)),
        },
        {
          claim: `the account is not stormed: at most ${attemptsASecond} attempts a second`,
          holds: attempts <= attemptsASecond,
          seen: `${attempts}`,
        },
        {
          claim: 'health() says why, and is up again afterwards',
          holds: during.codes.includes('28P01') && after.status === 'up',
          seen: `${during.status} (${during.codes.join(', ')}), then ${after.status}`,
        },
        {
          claim: `the pool works within ${backMs} ms after the new password, and needs no restart`,
          holds: firstSuccess(callers, endAt) <= backMs,
          seen: `${ms(firstSuccess(callers, endAt))} ms`,
        },
      ],
    }
  },
}
