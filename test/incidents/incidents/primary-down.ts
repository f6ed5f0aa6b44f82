import { setTimeout as sleep } from 'node:timers/promises'
import { createPool } from '@pg-lifeguard/core'
import { startCluster, startFaultProxy } from '@pg-lifeguard/testing'
import { busiestSecond } from '../../outages/callers.js'
import type { Incident } from '../incident.js'
import { callersOf, firstSuccess, lastFailure, ms, outcomes, seenBy, warm } from '../load.js'
import { Watch } from '../watch.js'

const perSecond = 50
const patienceMs = 2_000
const backMs = 1_000
const attemptsASecond = 15

/** The server is stopped for 20 s, for longer than any caller waits; health is asked as seldom as a probe asks. */
export const primaryDown: Incident = {
  name: 'primary-down',
  title: `the primary is down for 20 s (40 s with --long); ${perSecond} queries a second, each caller waits ${patienceMs} ms`,
  async run({ scale, long = false }) {
    const downMs = (long ? 40_000 : 20_000) * scale
    await using cluster = await startCluster()
    await using database = await cluster.createDatabase()
    await using proxy = await startFaultProxy({ target: database.url })
    await using pool = createPool({ connectionString: proxy.url })
    // A check that succeeds ends the pause of the pool: none is made around the return.
    await using watch = new Watch(pool)
    await warm(pool, 2)
    const callers = callersOf(pool, 'select 1', patienceMs)
    const offering = callers.offer(perSecond, 1_000 + downMs + Math.max(1_500, 4_000 * scale))
    await watch.check()
    await sleep(1_000)
    await cluster.primary.stop()
    const downAt = performance.now()
    const before = (await proxy.stats()).connectTimes.length
    await sleep(downMs / 2)
    const during = await watch.check()
    await sleep(downMs / 2 - (performance.now() - during.at))
    const startAt = performance.now()
    await cluster.primary.start()
    const upAt = performance.now()
    await offering
    await callers.answered()
    const after = await watch.check()
    const attempts = busiestSecond((await proxy.stats()).connectTimes.slice(before).map(Number))
    const success = firstSuccess(callers, startAt) - (upAt - startAt)
    const afterwards = callers.answers.filter(({ calledAt }) => calledAt >= upAt && calledAt < upAt + backMs)
    const refused = afterwards.filter(({ outcome }) => outcome !== 'ok')
    const wrong = Object.keys(outcomes(callers.answers)).filter(
      (one) => one !== 'ok' && !/^(LIFEGUARD_|57P0|53300)/.test(one),
    )
    return {
      figures: {
        ...seenBy(callers),
        'down for, ms': Math.round(upAt - downAt),
        'first success after the return, ms': ms(success),
        'refused in the second after the return': `${refused.length} of ${afterwards.length}`,
        'last failure after the return, ms': ms(lastFailure(callers, upAt)),
        'connects in the busiest second': attempts,
        ...watch.figures(),
      },
      claims: [
        {
          claim: `first success within ${backMs} ms after the return`,
          holds: success <= backMs,
          seen: `${ms(success)} ms`,
        },
        {
          claim: `nobody who calls later than ${backMs} ms after the return is refused, within the load of this machine`,
          holds: lastFailure(callers, upAt + backMs) === 0,
          seen: `last failure ${ms(lastFailure(callers, upAt))} ms after it`,
        },
        {
          claim: `no storm: at most ${attemptsASecond} attempts a second to connect`,
          holds: attempts <= attemptsASecond,
          seen: `${attempts}`,
        },
        {
          claim: 'every error says what it is: the server, not the pool, and by a code',
          holds: wrong.length === 0,
          seen: wrong.length === 0 ? 'all of them' : wrong.join(', '),
        },
        {
          claim: 'health() is down while the server is, and up again with it',
          holds: during.status === 'down' && after.status === 'up',
          seen: `${during.status} (${during.codes.join(', ')}), then ${after.status}`,
        },
      ],
    }
  },
}
