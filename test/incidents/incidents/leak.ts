import { setTimeout as sleep } from 'node:timers/promises'
import { createPool, type Pool, type PoolEvents, type PooledConnection } from '@pg-lifeguard/core'
import { startCluster } from '@pg-lifeguard/testing'
import { until } from '../../support/until.js'
import type { Incident } from '../incident.js'
import { callersOf, firstSuccess, lastFailure, ms, outcomes, seenBy, warm } from '../load.js'
import { Watch } from '../watch.js'

const max = 5
const perSecond = 50
const patienceMs = 500
const backMs = 100

/** The fault: a way out of the function that does not give the connection back. */
async function handlerThatForgets(pool: Pool): Promise<PooledConnection> {
  const connection = await pool.acquire()
  await connection.query('select 1')
  return connection
}

/** A handler forgets to give connections back, until none is left. */
export const leak: Incident = {
  name: 'leak',
  title: `a handler forgets its connection, ${max} times on a pool of ${max}; ${perSecond} queries a second, each caller waits ${patienceMs} ms`,
  async run({ scale }) {
    const leakDetectionMs = 2_000 * scale
    await using cluster = await startCluster()
    await using database = await cluster.createDatabase()
    const reported: string[] = []
    const leaks: PoolEvents['leak'][] = []
    await using pool = createPool({
      connectionString: database.url,
      max,
      leakDetectionMs,
      onLeak: ({ acquireStack, returned }) => {
        if (!returned) reported.push(acquireStack ?? '')
      },
    })
    pool.on('leak', (event) => leaks.push(event))
    await using watch = new Watch(pool, 200)
    await warm(pool, max)
    const callers = callersOf(pool, 'select 1', patienceMs)
    const offering = callers.offer(perSecond, 10_000 * scale + 2_000)
    await sleep(1_000 * scale)
    const forgotten: PooledConnection[] = []
    while (forgotten.length < max) {
      forgotten.push(await handlerThatForgets(pool))
      await sleep(500 * scale)
    }
    await until('each leak is reported', () => leaks.length === max)
    await until('callers have waited in vain', () => callers.answers.some(({ outcome }) => outcome !== 'ok'))
    const active = pool.active()
    const { longestHeldMs } = pool.stats().pool
    const refusal = await pool.query('select 1', [], { timeoutMs: patienceMs }).then(
      () => 'none',
      (error: Error) => error.message.split('\n')[0],
    )
    const endAt = performance.now()
    for (const one of forgotten) one.release()
    await offering
    await callers.answered()
    const named = leaks.filter(({ acquireStack }) => acquireStack?.includes(handlerThatForgets.name)).length
    const ofThem = active.filter(({ acquireStack }) => acquireStack?.includes(handlerThatForgets.name)).length
    const kinds = Object.keys(outcomes(callers.answers)).filter((one) => one !== 'ok')
    const firstLine = leaks[0]?.acquireStack?.split('\n').find((line) => line.includes(handlerThatForgets.name))
    const downs = watch.checks.filter(({ status }) => status === 'down').length
    return {
      figures: {
        ...seenBy(callers),
        'first success after they came back, ms': ms(firstSuccess(callers, endAt)),
        'last failure after that, ms': ms(lastFailure(callers, endAt)),
        'active()': `${active.length} in use, ${ofThem} of the handler; longestHeldMs ${Math.round(longestHeldMs)}`,
        'a leak report': firstLine?.trim() ?? 'no line of the handler',
        'an error': refusal ?? '',
        ...watch.figures(),
      },
      claims: [
        {
          claim: 'every leak is reported, by event and callback, and names the function that took the connection',
          holds: named === max && reported.filter((one) => one.includes(handlerThatForgets.name)).length === max,
          seen: `${named} of ${max} events, ${reported.length} callbacks`,
        },
        {
          claim: 'active() lists the connections that are missing, and stats() says for how long',
          holds: ofThem === max && longestHeldMs >= leakDetectionMs,
          seen: `${ofThem} of ${max}, the longest for ${Math.round(longestHeldMs)} ms`,
        },
        {
          claim: 'the error says that the pool is busy, not that the server is down',
          holds: kinds.every((one) => /^LIFEGUARD_(ACQUIRE_TIMEOUT|OVERLOADED|TIMEOUT \(not-sent\))/.test(one)),
          seen: kinds.join(', '),
        },
        { claim: 'health() never calls the server down', holds: downs === 0, seen: `${downs} times` },
        {
          claim: `the pool works within ${backMs} ms after they came back`,
          holds: firstSuccess(callers, endAt) <= backMs,
          seen: `${ms(firstSuccess(callers, endAt))} ms`,
        },
      ],
    }
  },
}
