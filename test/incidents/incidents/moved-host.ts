import { setTimeout as sleep } from 'node:timers/promises'
import { createPool, type PoolOptions } from '@pg-lifeguard/core'
import { startCluster } from '@pg-lifeguard/testing'
import { listed } from '../../outages/callers.js'
import { Forwarder } from '../forwarder.js'
import type { Incident, Size } from '../incident.js'
import { firstSuccess, lastFailure, loadOf, ms, outcomes, seenBy } from '../load.js'
import { Watch } from '../watch.js'

const max = 5
const perSecond = 50
const patienceMs = 2_000
const backMs = 1_000

/** What a pool with these options goes through. */
async function move(options: PoolOptions, { scale }: Size) {
  const lastsMs = Math.max(5_000 * scale, 1_000)
  await using cluster = await startCluster({ replicas: 1 })
  const [standby] = cluster.replicas
  if (standby === undefined) throw new Error('bug: a cluster without its replica')
  await using database = await cluster.createDatabase()
  await using admin = createPool({ connectionString: database.url, max: 1 })
  await admin.query('create table written (id bigint generated always as identity)')
  await cluster.waitForReplicas()
  await using forwarder = await Forwarder.start(standby.port)
  await using pool = createPool({ ...options, connectionString: forwarder.urlFor(database.url), max })
  await using watch = new Watch(pool, 200)
  const write = (): Promise<unknown> => pool.query('insert into written default values', [], { timeoutMs: patienceMs })
  const writers = loadOf(write)
  const readers = loadOf(() => pool.query('select 1', [], { timeoutMs: patienceMs }))
  const offering = Promise.all(
    [writers, readers].map((one) => one.offer(perSecond, lastsMs + Math.max(1_500, 3_000 * scale))),
  )
  await sleep(lastsMs)
  const before = forwarder.acceptedAt.length
  const beforeEvents = watch.count('read-only')
  forwarder.moveTo(cluster.primary.port)
  const endAt = performance.now()
  await offering
  await Promise.all([writers.answered(), readers.answered()])
  const firstAt = endAt + firstSuccess(writers, endAt)
  const refused = writers.answers.filter(({ outcome, calledAt }) => outcome === '25006' && calledAt > endAt)
  const { rows } = await admin.query<{ n: number }>('select count(*)::int as n from written')
  return {
    writers,
    readers,
    endAt,
    refusedAfter: refused.length,
    refusedBesides: refused.filter(({ calledAt }) => calledAt > firstAt).length,
    kept: rows[0]?.n ?? 0,
    openedAfter: forwarder.acceptedAt.length - before,
    openedBefore: before,
    eventsBefore: beforeEvents,
    health: await watch.check(),
    downs: watch.checks.filter(({ status }) => status === 'down').length,
    figures: watch.figures(),
  }
}

/** The name of the database leads to a server that only reads, and then to the one that takes writes. */
export const movedHost: Incident = {
  name: 'moved-host',
  title: `the address leads to a read-only server for 5 s and then to the writable one, while old sessions stay open; ${perSecond} writes and ${perSecond} reads a second`,
  async run(size) {
    const any = await move({}, size)
    const named = await move({ targetSessionAttrs: 'read-write' }, size)
    const inAll = (outcomes(any.writers.answers)['ok'] ?? 0) + (outcomes(named.writers.answers)['ok'] ?? 0)
    const misread = outcomes(named.writers.answers)['25006'] ?? 0
    return {
      figures: {
        ...seenBy(any.writers),
        'readers saw': listed(any.readers.outcomes()),
        'writes refused as read-only after the move': any.refusedAfter,
        'first write after the move, ms': ms(firstSuccess(any.writers, any.endAt)),
        'last failure after the move, ms': ms(lastFailure(any.writers, any.endAt)),
        'connections opened before, after': `${any.openedBefore}, ${any.openedAfter}`,
        ...any.figures,
        "with 'read-write', writers saw": listed(named.writers.outcomes()),
        "with 'read-write', first write after the move, ms": ms(firstSuccess(named.writers, named.endAt)),
        "with 'read-write', health()": named.figures['health()'] ?? '',
      },
      claims: [
        {
          claim: 'an event says that the server refuses writes',
          holds: any.eventsBefore > 0,
          seen: `${any.eventsBefore} events read-only`,
        },
        {
          claim: `writes go to the new server within ${backMs} ms after the move`,
          holds: firstSuccess(any.writers, any.endAt) <= backMs,
          seen: `${ms(firstSuccess(any.writers, any.endAt))} ms`,
        },
        {
          claim:
            'as soon as one write has succeeded, each session that is left is refused one at most, within the load of this machine',
          holds: any.refusedBesides < max,
          seen: `${any.refusedBesides} refused; ${any.refusedAfter} from the move on`,
        },
        {
          claim: "with targetSessionAttrs 'read-write' no write is ever sent to the read-only server",
          holds: misread === 0,
          seen: `${misread} refused`,
        },
        {
          claim: `with it, writes go on within ${backMs} ms after the move`,
          holds: firstSuccess(named.writers, named.endAt) <= backMs,
          seen: `${ms(firstSuccess(named.writers, named.endAt))} ms`,
        },
        {
          claim: 'every write that was answered is there, once',
          holds: any.kept + named.kept === inAll,
          seen: `${any.kept + named.kept} of ${inAll}`,
        },
        {
          claim: 'health() never calls down a server that answers',
          holds: any.downs === 0 && any.health.status === 'up' && named.health.status === 'up',
          seen: `${any.downs} times; ${any.health.status} in the end`,
        },
      ],
    }
  },
}
