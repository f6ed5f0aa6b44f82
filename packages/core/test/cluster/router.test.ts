import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { Causality } from '../../src/cluster/causality.js'
import type { ClusterMember } from '../../src/cluster/member.js'
import type { ReadScope } from '../../src/cluster/router.js'
import { Deadline, noDeadline } from '../../src/deadline/deadline.js'
import { FakeCluster, type FakeServer } from '../support/fake-servers.js'
import { the } from '../support/new-pool.js'
import { randomFrom, seeded } from '../support/seeded.js'
import { rejection } from '../support/test-pool.js'

const clusters: FakeCluster[] = []

afterEach(async () => {
  for (const cluster of clusters.splice(0)) {
    await cluster.end()
    expect(cluster.clock.timers).toBe(0)
  }
})

/** One that has been looked at: the lag of every replica is known. */
async function watch(count: number, options: ConstructorParameters<typeof FakeCluster>[1] = {}): Promise<FakeCluster> {
  const cluster = new FakeCluster(count, options)
  clusters.push(cluster)
  await cluster.run(cluster.sight.topology.find())
  await cluster.look()
  return cluster
}

const within1s: ReadScope = { maxLagMs: 1_000, maxLagBytes: undefined }

interface Ask {
  readonly scope?: ReadScope
  /** What must be shown: a place on the first timeline, or on this one. */
  readonly lsn?: bigint
  readonly timeline?: number
  readonly excluded?: readonly ClusterMember[]
}

/** Where a read goes, and why: `db1:5432 fresh`, `primary lag`. */
async function route(cluster: FakeCluster, ask: Ask = {}): Promise<string> {
  const { scope = within1s, lsn, timeline = 1, excluded = [] } = ask
  const causality = new Causality(lsn === undefined ? undefined : { timeline, lsn })
  const found = await cluster.run(cluster.sight.router.route({ scope, causality }, new Set(excluded), noDeadline))
  return `${found.kind === 'replica' ? found.member.address : 'primary'} ${found.reason}`
}

/** Time goes by with reads in it, so that everything is looked at all the while. */
async function readFor(cluster: FakeCluster, ms: number, meanwhile: () => void = () => undefined): Promise<void> {
  for (let gone = 0; gone < ms; gone += 25) {
    meanwhile()
    await route(cluster, { scope: { maxLagMs: 100, maxLagBytes: undefined } })
    await cluster.clock.advance(25)
  }
}

function two({ servers }: FakeCluster): [primary: FakeServer, replica: FakeServer] {
  return [the(servers[0]), the(servers[1])]
}

describe('the lag', () => {
  test('an idle primary makes no replica look old', async () => {
    const cluster = await watch(2)
    await readFor(cluster, 10_000)
    expect(await route(cluster)).toBe('db1:5432 fresh')
  })

  test('in time: a replica that stands still while the primary goes on is left when its time is over', async () => {
    const cluster = await watch(2)
    const [primary, replica] = two(cluster)
    const write = (): void => primary.reach(primary.lsn + 1n)
    await readFor(cluster, 500, write)
    expect(await route(cluster)).toBe('db1:5432 fresh')
    expect(await route(cluster, { scope: { maxLagMs: 200, maxLagBytes: undefined } })).toBe('primary lag')
    await readFor(cluster, 1_000, write)
    expect(await route(cluster)).toBe('primary lag')
    replica.reach(primary.lsn)
    await cluster.look()
    expect(await route(cluster)).toBe('db1:5432 fresh')
  })

  test('in bytes: what is close enough is fresh, whatever the time says', async () => {
    const cluster = await watch(2)
    const [primary] = two(cluster)
    primary.reach(primary.lsn + 500n)
    await readFor(cluster, 2_000)
    expect(await route(cluster)).toBe('primary lag')
    expect(await route(cluster, { scope: { maxLagMs: 0, maxLagBytes: 499 } })).toBe('primary lag')
    expect(await route(cluster, { scope: { maxLagMs: 0, maxLagBytes: 500 } })).toBe('db1:5432 fresh')
  })

  test('a replica that has not followed a promotion is behind by all that came after', async () => {
    const cluster = await watch(3)
    const [first, second, third] = cluster.servers
    the(first).isUp = false
    Object.assign(the(second), { standby: false, timeline: 2 })
    await cluster.look()
    await cluster.clock.advance(500)
    expect(cluster.sight.topology.writer?.address).toBe('db1:5432')
    expect(await route(cluster)).toBe('primary lag')
    the(third).timeline = 2
    await cluster.look()
    expect(await route(cluster)).toBe('db2:5432 fresh')
  })

  test('while the primary is out of reach a replica is as old as it was when that was last heard of', async () => {
    const cluster = await watch(2)
    two(cluster)[0].isUp = false
    await readFor(cluster, 5_000)
    expect(await route(cluster)).toBe('db1:5432 primary-lost')
  })
})

describe('what there is to choose from', () => {
  test('no replica: the primary; one that has failed this read: the primary, for another reason', async () => {
    const cluster = await watch(2)
    expect(await route(cluster, { excluded: [the(cluster.sight.members[1])] })).toBe('primary replicas-failed')
    two(cluster)[1].isUp = false
    await cluster.look()
    expect(await route(cluster)).toBe('primary no-replica')
  })

  test('the first read of all waits for the first look', async () => {
    const cluster = new FakeCluster(2)
    clusters.push(cluster)
    expect(await route(cluster)).toBe('db1:5432 fresh')
  })

  test('one that was thrown out is left alone, and asked again when its time is over', async () => {
    const cluster = await watch(3, { random: randomFrom(3) })
    const bad = the(cluster.sight.members[1])
    for (let n = 0; n < 3; n += 1) bad.ejection.failed(cluster.clock.now())
    const seen = new Set<string>()
    for (let n = 0; n < 50; n += 1) seen.add(await route(cluster))
    expect([...seen]).toEqual(['db2:5432 fresh'])
    await readFor(cluster, 1_000)
    for (let n = 0; n < 50; n += 1) seen.add(await route(cluster))
    expect([...seen].sort()).toEqual(['db1:5432 fresh', 'db2:5432 fresh'])
  })

  test('panic: when all were thrown out all are asked, but for those that failed this read', async () => {
    const cluster = await watch(3)
    const [, one, other] = cluster.sight.members
    for (const member of [the(one), the(other)]) member.ejection.eject(cluster.clock.now())
    expect(await route(cluster, { excluded: [the(one)] })).toBe('db2:5432 panic')
    expect(await route(cluster, { excluded: [the(one), the(other)] })).toBe('primary replicas-failed')
  })

  test('weights divide the reads of like replicas', async () => {
    const cluster = await watch(3, { weights: [1, 3, 1], random: randomFrom(5) })
    const picked = { 'db1:5432 fresh': 0, 'db2:5432 fresh': 0 } as Record<string, number>
    for (let n = 0; n < 400; n += 1) {
      const where = await route(cluster)
      picked[where] = (picked[where] ?? 0) + 1
    }
    const { 'db1:5432 fresh': heavy = 0, 'db2:5432 fresh': light = 0, ...rest } = picked
    expect(rest).toEqual({})
    expect(heavy / light).toBeGreaterThan(2)
    expect(heavy / light).toBeLessThan(4.5)
  })
})

describe('what must be shown', () => {
  test('a replica that shows it is taken at once, one that does not is waited for, and then the primary', async () => {
    const cluster = await watch(3)
    const [primary, one, other] = cluster.servers
    the(primary).reach(2_000n)
    the(other).reach(2_000n)
    await cluster.look()
    expect(await route(cluster, { lsn: 2_000n })).toBe('db2:5432 fresh')
    const since = cluster.clock.now()
    expect(await route(cluster, { lsn: 3_000n })).toBe('primary causality')
    expect(cluster.clock.now() - since).toBeGreaterThanOrEqual(100)
    const waiting = route(cluster, { lsn: 3_000n })
    the(one).reach(3_000n)
    expect(await waiting).toBe('db1:5432 fresh')
  })

  test('a token of a later timeline is shown by nobody who is on an earlier one, wherever that stands', async () => {
    const cluster = await watch(2)
    two(cluster)[1].reach(9_000n)
    // A server that can wait knows places alone: it would say at once that it is there.
    Object.assign(two(cluster)[1], { waits: 'yes' })
    const before = two(cluster)[1].asked.length
    expect(await route(cluster, { lsn: 1n, timeline: 2 })).toBe('primary causality')
    const asked = two(cluster)[1].asked.slice(before)
    expect(asked.filter((text) => text.startsWith('wait'))).toEqual([])
    expect(asked.length).toBeLessThan(30)
  })

  test('the limit of the caller ends the wait', async () => {
    const cluster = await watch(2, { causalityWaitMs: 60_000 })
    const causality = new Causality({ timeline: 1, lsn: 5_000n })
    const limit = Deadline.after(30, cluster.clock)
    const error = await rejection(
      cluster.run(cluster.sight.router.route({ scope: within1s, causality }, new Set(), limit)),
    )
    expect(error.code).toBe('LIFEGUARD_TIMEOUT')
    await cluster.clock.advance(2_000)
  })

  test('whatever the servers do, no replica is named that is too old or does not show it', async () => {
    const step = fc.record({
      server: fc.nat(2),
      what: fc.constantFrom('goes on', 'catches up', 'dies', 'starts', 'looks'),
      after: fc.nat(400),
      token: fc.option(fc.bigInt(0n, 40n)),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), fc.nat(), async (steps, seed) => {
        const cluster = new FakeCluster(3, { random: randomFrom(seed), causalityWaitMs: 10 })
        await cluster.run(cluster.sight.topology.find())
        const [primary] = two(cluster)
        /** Where the primary was when. */
        const history: { readonly at: number; readonly lsn: bigint }[] = []
        for (const { server: at, what, after, token } of steps) {
          const server = the(cluster.servers[at])
          if (what === 'goes on') primary.reach(primary.lsn + 10n)
          else if (what === 'catches up' && server !== primary) server.reach(primary.lsn)
          else if (what === 'dies' && server !== primary) server.isUp = false
          else if (what === 'starts') server.isUp = true
          else await cluster.look()
          history.push({ at: cluster.clock.now(), lsn: primary.lsn })
          const lsn = token === null ? undefined : primary.lsn - token
          const [where, reason] = (await route(cluster, lsn === undefined ? {} : { lsn })).split(' ')
          if (where !== 'primary') {
            expect(reason).toBe('fresh')
            const chosen = the(cluster.servers.find((each) => each.where === where))
            if (lsn !== undefined) expect(chosen.lsn).toBeGreaterThanOrEqual(lsn)
            // It shows all that was written more than a second ago.
            const old = history.filter((moment) => moment.at < cluster.clock.now() - 1_000).at(-1)
            if (old !== undefined) expect(chosen.lsn).toBeGreaterThanOrEqual(old.lsn)
          }
          await cluster.clock.advance(after)
        }
        await cluster.end()
        expect(cluster.clock.timers).toBe(0)
      }),
      seeded(150),
    )
  })
})

describe('a server that can wait by itself', () => {
  test('is left to wait, and taken the moment that it shows what it must', async () => {
    const cluster = await watch(2, { causalityWaitMs: 1_000 })
    const replica = two(cluster)[1]
    replica.waits = 'yes'
    const asked = replica.asked.length
    const since = cluster.clock.now()
    const waiting = route(cluster, { lsn: 2_000n })
    cluster.clock.setTimer(12, () => replica.reach(2_000n))
    expect(await waiting).toBe('db1:5432 fresh')
    expect(cluster.clock.now() - since).toBeLessThanOrEqual(13)
    // What it can do was asked once; then one wait and one look, where an older one is asked every few milliseconds.
    expect(replica.asked.slice(asked).map((text) => text.trim().split(/\s+/).slice(0, 2).join(' '))).toEqual([
      'select exists',
      'wait for',
      'select standby,',
    ])
    expect(replica.asked[asked + 1]).toBe("wait for lsn '0/7D0' with (timeout '25ms', no_throw)")
    const more = route(cluster, { lsn: 3_000n })
    cluster.clock.setTimer(5, () => replica.reach(3_000n))
    expect(await more).toBe('db1:5432 fresh')
    expect(replica.asked.filter((text) => text.includes('pg_get_keywords'))).toHaveLength(1)
  })

  test('waits a while at a time, so that what is known of it does not grow old, and no longer than the read', async () => {
    const cluster = await watch(2, { causalityWaitMs: 60 })
    const replica = two(cluster)[1]
    replica.waits = 'yes'
    const since = cluster.clock.now()
    expect(await route(cluster, { lsn: 2_000n })).toBe('primary causality')
    expect(cluster.clock.now() - since).toBeLessThanOrEqual(62)
    const timeouts = replica.asked.flatMap((text) => /timeout '(\d+)ms'/.exec(text)?.[1] ?? [])
    expect(timeouts.map(Number).reduce((sum, ms) => sum + ms, 0)).toBeLessThanOrEqual(61)
    expect(timeouts.slice(0, 2)).toEqual(['25', '25'])
  })

  test('that is promoted while it is waited for is no replica any more', async () => {
    const cluster = await watch(2, { causalityWaitMs: 500 })
    const replica = two(cluster)[1]
    replica.waits = 'yes'
    const waiting = route(cluster, { lsn: 2_000n })
    cluster.clock.setTimer(10, () => {
      Object.assign(replica, { standby: false, timeline: 2 })
      replica.reach(replica.lsn)
    })
    expect(await waiting).toBe('primary no-replica')
    expect(cluster.sight.topology.writer?.address).toBe('db1:5432')
  })

  test.each(['no', 'badly'] as const)('and one that can do it %s is asked again and again', async (waits) => {
    const cluster = await watch(2, { causalityWaitMs: 1_000 })
    const replica = two(cluster)[1]
    replica.waits = waits
    const waiting = route(cluster, { lsn: 2_000n })
    cluster.clock.setTimer(30, () => replica.reach(2_000n))
    expect(await waiting).toBe('db1:5432 fresh')
    expect(replica.asked.filter((text) => text.includes('pg_get_keywords'))).toHaveLength(1)
    expect(replica.asked.filter((text) => text.startsWith('wait'))).toHaveLength(waits === 'no' ? 0 : 1)
    expect(replica.asked.length).toBeGreaterThan(5)
  })
})

describe('servers that do not tell where they stand', () => {
  test('are read from by those alone who take data of any age and have written nothing', async () => {
    const cluster = await watch(2)
    two(cluster)[1].tellsPlace = false
    // A new connection finds that out.
    two(cluster)[1].isUp = false
    await cluster.look()
    two(cluster)[1].isUp = true
    await cluster.look()
    const anyAge = { maxLagMs: Number.POSITIVE_INFINITY, maxLagBytes: undefined }
    expect(await route(cluster)).toBe('primary no-position')
    expect(await route(cluster, { scope: { maxLagMs: 1e9, maxLagBytes: 1e12 } })).toBe('primary no-position')
    expect(await route(cluster, { scope: anyAge })).toBe('db1:5432 fresh')
    const since = cluster.clock.now()
    expect(await route(cluster, { scope: anyAge, lsn: 1n })).toBe('primary no-position')
    expect(cluster.clock.now()).toBe(since) // waiting would not help
  })

  test('a replica that has replayed nothing yet is one of them until it has', async () => {
    const cluster = await watch(2)
    const replica = two(cluster)[1]
    replica.hasReplayed = false
    await cluster.look()
    expect(await route(cluster, { lsn: 1n })).toBe('primary no-position')
    replica.hasReplayed = true
    await cluster.look()
    expect(await route(cluster, { lsn: 1n })).toBe('db1:5432 fresh')
  })
})
