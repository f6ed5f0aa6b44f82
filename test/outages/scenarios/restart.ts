import { setTimeout as sleep } from 'node:timers/promises'
import { startCluster, startFaultProxy } from '@pg-lifeguard/testing'
import { busiestSecond, Callers, listed, percentile } from '../callers.js'
import type { Scenario } from '../scenario.js'

const max = 10
const perSecond = 50
const patienceMs = 5_000
const downMs = 2_000
const firstMs = 100
const attemptsASecond = 15

/** The server is stopped, and started two seconds later, while callers who can wait that long go on asking. */
export const restart: Scenario = {
  name: 'restart',
  title: `the server is stopped and started ${downMs / 1_000} s later; ${perSecond} queries a second, each caller waits ${patienceMs} ms`,
  async run(subject) {
    await using cluster = await startCluster()
    await using database = await cluster.createDatabase()
    await using proxy = await startFaultProxy({ target: database.url })
    const session = subject.open(proxy.url, { max, timeoutMs: patienceMs })
    try {
      const callers = new Callers(subject, session, 'select 1')
      await Promise.all(Array.from({ length: max }, () => callers.call()))
      const offering = callers.offer(perSecond, 1_000 + downMs + 4_000)
      await sleep(1_000)
      await cluster.primary.stop()
      const downAt = performance.now()
      const before = (await proxy.stats()).connectTimes.length
      await sleep(downMs)
      await cluster.primary.start()
      const upAt = performance.now()
      await offering
      await callers.answered()
      const failed = callers.answers.filter(({ outcome }) => outcome !== 'ok')
      const unsent = failed.filter(({ mayHaveBeenSent }) => !mayHaveBeenSent).length
      const firstOk = callers.answers
        .filter(({ outcome, answeredAt }) => outcome === 'ok' && answeredAt > downAt + 500)
        .reduce((a, b) => Math.min(a, b.answeredAt), Number.POSITIVE_INFINITY)
      const attempts = busiestSecond((await proxy.stats()).connectTimes.slice(before).map(Number))
      const counts: Record<string, number> = {}
      for (const { outcome } of failed) counts[outcome] = (counts[outcome] ?? 0) + 1
      return {
        figures: {
          calls: callers.calls,
          'errors to callers': failed.length,
          'of them never sent': unsent,
          'first success after the server is back, ms': Math.round(firstOk - upAt),
          'slowest call, ms': Math.round(
            percentile(
              callers.answers.map(({ tookMs }) => tookMs),
              1,
            ),
          ),
          'connects in the busiest second': attempts,
          errors: listed(counts),
        },
        claims: [
          { claim: 'no query fails that had not been sent', holds: unsent === 0, seen: `${unsent} failed` },
          {
            claim: `first success within ${firstMs} ms after the server accepts`,
            holds: firstOk - upAt <= firstMs,
            seen: `${Math.round(firstOk - upAt)} ms`,
          },
          {
            claim: `at most ${attemptsASecond} connection attempts a second`,
            holds: attempts <= attemptsASecond,
            seen: `${attempts}`,
          },
        ],
      }
    } finally {
      await session.end()
    }
  },
}
