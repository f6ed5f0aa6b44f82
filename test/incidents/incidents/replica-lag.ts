import { setTimeout as sleep } from 'node:timers/promises'
import { createPool } from '@pg-lifeguard/core'
import { startCluster } from '@pg-lifeguard/testing'
import { listed } from '../../outages/callers.js'
import { until } from '../../support/until.js'
import type { Incident } from '../incident.js'
import { firstSuccess, loadOf, ms, outcomes, seenBy } from '../load.js'
import { Watch } from '../watch.js'

const perSecond = 50
const maxLagMs = 500
const patienceMs = 2_000
const writeEveryMs = 20

/** The only replica stops to replay what the primary sends it; it answers on, with what was true then. */
export const replicaLag: Incident = {
  name: 'replica-lag',
  title: `the replica lags for 8 s, with maxLagMs ${maxLagMs}; ${perSecond} reads a second, and a write every ${writeEveryMs} ms`,
  async run({ scale }) {
    const lagForMs = Math.max(8_000 * scale, 3 * maxLagMs)
    await using cluster = await startCluster({ replicas: 1 })
    const [replica] = cluster.replicas
    if (replica === undefined) throw new Error('bug: a cluster without its replica')
    await using database = await cluster.createDatabase()
    await using pool = createPool({ connectionString: database.url, replicas: [database.urlOn(replica)], maxLagMs })
    await pool.query('create table beat (n int not null)')
    await pool.query('insert into beat values (0)')
    await cluster.waitForReplicas()
    await using watch = new Watch(pool, 200)

    /** When each number was written, so that a read shows how old it is. */
    const writtenAt: number[] = [performance.now()]
    const stopped = new AbortController()
    const writing = (async () => {
      while (!stopped.signal.aborted) {
        await pool.query('update beat set n = $1', [writtenAt.length], { timeoutMs: patienceMs })
        writtenAt.push(performance.now())
        await sleep(writeEveryMs)
      }
    })()
    let oldestMs = 0
    const reasons: Record<string, number> = {}
    pool.on('route', ({ role, reason }) => {
      if (reason !== 'not-in-read') reasons[`${role}: ${reason}`] = (reasons[`${role}: ${reason}`] ?? 0) + 1
    })
    const readOnce = async (): Promise<void> => {
      const askedAt = performance.now()
      const { rows } = await pool.read(
        () => pool.query<{ n: number }>('select n from beat', [], { timeoutMs: patienceMs }),
        { timeoutMs: patienceMs },
      )
      // The write after the one that was read is the first that it does not show.
      const next = writtenAt[(rows[0]?.n ?? 0) + 1]
      if (next !== undefined) oldestMs = Math.max(oldestMs, askedAt - next)
    }
    const readers = loadOf(readOnce)
    const offering = readers.offer(perSecond, 1_000 + lagForMs + Math.max(1_500, 3_000 * scale))
    await sleep(1_000)
    await replica.pauseReplay()
    const before = { ...reasons }
    await sleep(lagForMs)
    const [, seen] = pool.stats().servers
    const during = await watch.check()
    const inLag = { ...reasons }
    await replica.resumeReplay()
    const endAt = performance.now()
    await until(
      'the replica is read from again',
      () => (reasons['replica: fresh'] ?? 0) > (inLag['replica: fresh'] ?? 0),
    )
    const backMs = performance.now() - endAt
    await offering
    await readers.answered()
    stopped.abort()
    await writing
    const failed = readers.calls - (outcomes(readers.answers)['ok'] ?? 0)
    const fellBack = (inLag['primary: lag'] ?? 0) - (before['primary: lag'] ?? 0)
    const downs = watch.checks.filter(({ status }) => status === 'down').length
    return {
      figures: {
        ...seenBy(readers),
        'oldest answer, ms': Math.round(oldestMs),
        'lagMs of stats().hosts, at the end of it': ms(seen?.lagMs ?? Number.NaN),
        'events route': listed(reasons),
        'the replica is read from again after, ms': Math.round(backMs),
        'first success after the end, ms': ms(firstSuccess(readers, endAt)),
        ...watch.figures(),
      },
      claims: [
        { claim: 'no read fails', holds: failed === 0, seen: `${failed} of ${readers.calls}` },
        {
          claim: `no answer is older than maxLagMs, within 50 ms`,
          holds: oldestMs <= maxLagMs + 50,
          seen: `${Math.round(oldestMs)} ms`,
        },
        {
          claim: 'reads go to the primary meanwhile, and the event says why',
          holds: fellBack > 0,
          seen: `${fellBack} with the reason lag`,
        },
        {
          claim: 'stats() has the lag',
          holds: (seen?.lagMs ?? 0) > maxLagMs,
          seen: `${ms(seen?.lagMs ?? Number.NaN)} ms`,
        },
        {
          claim: 'health() never calls the pool down',
          holds: downs === 0,
          seen: `${downs} times; ${during.status} at the end of the lag`,
        },
        { claim: 'the replica is used again within 1000 ms', holds: backMs <= 1_000, seen: `${Math.round(backMs)} ms` },
      ],
    }
  },
}
