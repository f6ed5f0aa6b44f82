import { setTimeout as pause } from 'node:timers/promises'
import { createPool } from '@pg-lifeguard/core'
import { startCluster } from '@pg-lifeguard/testing'
import { until } from '../support/until.js'
import { Promises, type StageResult } from './stage.js'

/**
 * The primary is killed and a standby promoted some time later; the old primary comes back; then a replica is killed. The
 * heir is a synchronous standby: without one, what the primary had answered last is lost with it, whatever a pool does.
 */
export async function runOutage(promotedAfterMs: number): Promise<StageResult> {
  await using cluster = await startCluster({
    replicas: 2,
    handleSignals: true,
    settings: { synchronous_standby_names: '"replica-1"' },
    replicaSettings: { synchronous_standby_names: '' },
  })
  const [heir, other] = cluster.replicas
  if (heir === undefined || other === undefined) throw new Error('bug: two replicas were asked for')
  // Never dropped: the old primary, alone in the end, would wait for its synchronous standby. It goes with the cluster.
  const database = await cluster.createDatabase()
  const promises = new Promises()
  await using pool = createPool({
    connectionString: database.url,
    replicas: [database.urlOn(heir), database.urlOn(other)],
    max: 10,
  })
  await pool.query('create table applied (id int, after boolean not null)')
  await cluster.waitForReplicas()

  let over = false
  let reads = 0
  let lastRead = performance.now()
  let longestGapMs = 0
  const failedReads = new Map<string, number>()
  const read = async (): Promise<void> => {
    while (!over) {
      try {
        await pool.read(() => pool.query('select count(*) from applied'))
        const now = performance.now()
        longestGapMs = Math.max(longestGapMs, now - lastRead)
        lastRead = now
        reads += 1
      } catch (error) {
        const { message } = error as Error
        failedReads.set(message, (failedReads.get(message) ?? 0) + 1)
      }
      await pause(2)
    }
  }
  let last = 0
  let promotedAt = Number.POSITIVE_INFINITY
  let firstWriteAt = Number.POSITIVE_INFINITY
  const results = new Map<number, string>()
  const write = async (how: 'query' | 'transaction'): Promise<void> => {
    while (!over) {
      const id = ++last
      // Without a key: a second application would be there to be seen.
      const text = 'insert into applied values ($1, $2)'
      const after = performance.now() > promotedAt
      try {
        if (how === 'query') await pool.query(text, [id, after])
        else await pool.withTransaction((tx) => tx.query(text, [id, after]))
        results.set(id, 'written')
        if (isDead && firstWriteAt === Number.POSITIVE_INFINITY) firstWriteAt = performance.now()
      } catch (error) {
        results.set(id, (error as { code?: string }).code ?? (error as Error).message)
      }
      await pause(2)
    }
  }
  let isDead = false
  const all = Promise.all([read(), read(), read(), write('query'), write('query'), write('transaction')])
  try {
    await until('writes and reads go', () => results.size > 100 && reads > 100)
    await cluster.primary.kill()
    await pause(50) // answers of the old primary are still on their way
    isDead = true
    const readsBefore = reads
    await pause(promotedAfterMs)
    const readsMeanwhile = reads - readsBefore
    await heir.promote()
    promotedAt = performance.now()
    await until('writes go again', () => firstWriteAt < Number.POSITIVE_INFINITY)
    const firstWriteMs = Math.max(0, firstWriteAt - promotedAt)

    await cluster.primary.start()
    const seen = () => pool.stats().servers.some(({ role }) => role === 'replaced')
    await until('the old primary is seen for what it is', seen)
    const before = results.size
    await until('writes go on', () => results.size > before + 300)

    over = true
    await all
    const { rows } = await pool.query<{ id: number; n: number }>(
      'select id, count(*)::int as n from applied group by id',
    )
    const applied = new Map(rows.map(({ id, n }) => [id, n]))
    const twice = rows.filter(({ n }) => n > 1).length
    const lost = [...results].filter(([id, what]) => what === 'written' && !applied.has(id)).length
    await using old = createPool({ connectionString: database.url })
    const misled = await old.query<{ n: number }>('select count(*)::int as n from applied where after')
    const failedWrites = [...results.values()].filter((what) => what !== 'written')

    const failed = [...failedReads.values()].reduce((sum, n) => sum + n, 0)
    promises.check(failed === 0, `${failed} reads failed: ${[...failedReads.keys()].join('; ')}`)
    promises.check(readsMeanwhile > 0, 'no read was served between the end of the primary and the promotion')
    promises.check(firstWriteMs < 500, `the first write came ${Math.round(firstWriteMs)} ms after the promotion`)
    promises.check(twice === 0, `${twice} writes were applied twice`)
    promises.check(lost === 0, `${lost} writes that were reported are missing`)
    promises.check(misled.rows[0]?.n === 0, `${misled.rows[0]?.n} writes went to the old primary`)
    return {
      stage: `the primary is killed, a standby promoted ${promotedAfterMs} ms later`,
      figures: {
        'reads, failed': `${reads}, ${failed}`,
        'reads while there was no primary': readsMeanwhile,
        'longest time without a read': `${Math.round(longestGapMs)} ms`,
        'first write after the promotion': `${Math.round(firstWriteMs)} ms`,
        'writes, of them under way at the kill': `${results.size}, ${failedWrites.length} (${[...new Set(failedWrites)].join(', ') || 'none'})`,
        'applied twice, missing, on the old primary': `${twice}, ${lost}, ${misled.rows[0]?.n}`,
      },
      violations: promises.violations,
    }
  } finally {
    over = true
    await all
  }
}
