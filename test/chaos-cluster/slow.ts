import { setTimeout as pause } from 'node:timers/promises'
import { createPool } from '@pg-lifeguard/core'
import { type Cluster, startFaultProxy, type TestDatabase } from '@pg-lifeguard/testing'
import { until } from '../support/until.js'
import { Promises, type StageResult } from './stage.js'

/** One replica answers 20 ms later than the other, and then as fast again; and then it is killed. */
export async function runSlow(cluster: Cluster, database: TestDatabase, seconds: number): Promise<StageResult> {
  const [quick, slow] = cluster.replicas
  if (quick === undefined || slow === undefined) throw new Error('bug: two replicas were asked for')
  await using proxy = await startFaultProxy({ target: database.urlOn(slow) })
  await using pool = createPool({
    connectionString: database.url,
    replicas: [database.urlOn(quick), proxy.url],
    maxLagMs: 10_000,
  })
  const promises = new Promises()
  let over = false
  let failed = 0
  const counts = { others: 0, its: 0 }
  const read = async (): Promise<void> => {
    while (!over) await pool.read(() => pool.query('select count(*) from item')).catch(() => (failed += 1))
  }
  const stop = pool.on('route', ({ address, role }) => {
    if (role === 'replica') counts[address === `127.0.0.1:${proxy.port}` ? 'its' : 'others'] += 1
  })
  /** The share of the second replica over this time. */
  const shareIn = async (ms: number): Promise<number> => {
    Object.assign(counts, { others: 0, its: 0 })
    await pause(ms)
    return counts.its / Math.max(1, counts.its + counts.others)
  }
  const all = Promise.all(Array.from({ length: 4 }, read))
  try {
    await until('both are read from', async () => (await shareIn(200)) > 0.2)
    await proxy.set({ roundTripMs: 20 })
    await pause(200)
    const shareWhenSlow = await shareIn(seconds * 1_000)
    await proxy.set({ roundTripMs: 0 })
    const since = performance.now()
    await until('it has its share again', async () => (await shareIn(200)) > 0.3)
    const recoveredMs = performance.now() - since
    await slow.kill()
    await until('it is known to be away', () => pool.stats().servers[2]?.role === 'unknown')
    await shareIn(100)
    const shareWhenDead = await shareIn(500)
    await slow.start()
    await until('it is read from again', async () => (await shareIn(200)) > 0.2)
    promises.check(shareWhenSlow < 0.2, `the slow replica got ${percent(shareWhenSlow)} of the reads`)
    promises.check(recoveredMs < 5_000, `it had its share again after ${Math.round(recoveredMs)} ms`)
    promises.check(failed === 0, `${failed} reads failed when a replica was killed`)
    promises.check(shareWhenDead < 0.01, `a replica that was dead was asked by ${percent(shareWhenDead)} of the reads`)
    return {
      stage: 'a replica becomes slow by 20 ms, recovers, is killed, comes back',
      figures: {
        'its share while slow': percent(shareWhenSlow),
        'has its share again after': `${Math.round(recoveredMs)} ms`,
        'reads that failed at its end': failed,
        'attempts on it while dead': percent(shareWhenDead),
      },
      violations: promises.violations,
    }
  } finally {
    over = true
    await all
    stop()
  }
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`
}
