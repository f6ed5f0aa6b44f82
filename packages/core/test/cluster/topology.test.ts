import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import type { Connection } from '../../src/connection/connection.js'
import { Deadline } from '../../src/deadline/deadline.js'
import { NoPrimaryError } from '../../src/errors/pool-errors.js'
import { FakeCluster, type FakeServer } from '../support/fake-servers.js'
import { the } from '../support/new-pool.js'
import { seeded } from '../support/seeded.js'
import { rejection } from '../support/test-pool.js'

const clusters: FakeCluster[] = []

afterEach(async () => {
  for (const cluster of clusters.splice(0)) {
    await cluster.end()
    expect(cluster.clock.timers).toBe(0)
  }
})

function watch(count: number): FakeCluster {
  const cluster = new FakeCluster(count)
  clusters.push(cluster)
  return cluster
}

/** Which server a connection leads to. */
function serverOf({ servers }: FakeCluster, connection: Connection): FakeServer {
  return the(servers.find(({ connections }) => (connections as unknown[]).includes(connection)))
}

async function openWriter(cluster: FakeCluster): Promise<FakeServer> {
  return serverOf(cluster, await cluster.run(cluster.sight.topology.openWriter(), 25))
}

/** The first server has died, and the second was promoted in its place. */
async function failedOver(cluster: FakeCluster): Promise<readonly [FakeServer, FakeServer]> {
  const [first, second] = cluster.servers
  await openWriter(cluster)
  Object.assign(the(first), { isUp: false })
  Object.assign(the(second), { standby: false, timeline: 2 })
  expect(await openWriter(cluster)).toBe(second)
  return [the(first), the(second)]
}

describe('who takes the writes', () => {
  test('the host that is not in recovery, wherever it is in the list: nobody is believed before he was asked', async () => {
    const cluster = watch(3)
    const [first, second] = cluster.servers
    the(first).standby = true
    the(second).standby = false
    expect(await openWriter(cluster)).toBe(second)
    expect(cluster.news).toEqual([{ to: 'db1:5432', timeline: 1 }])
    // What was heard of it on the way is what lags are measured by.
    expect(cluster.sight.trail.lsn).toBe(1_000n)
  })

  test('of two that say so, the one on the later timeline, whoever answers first', async () => {
    const cluster = watch(3)
    const [first, second] = cluster.servers
    Object.assign(the(second), { standby: false, timeline: 2 })
    expect(await openWriter(cluster)).toBe(second)
    expect(cluster.sight.topology.timeline).toBe(2)
    expect(the(first).connections.filter(({ isAlive }) => isAlive)).toHaveLength(1) // the monitor's
  })

  test('the first of the list is not believed because it answered first, when reads asked before any write', async () => {
    const cluster = watch(2)
    const [first, second] = cluster.servers
    Object.assign(the(second), { standby: false, timeline: 2, delayMs: 50 })
    const looks = Promise.allSettled(cluster.sight.members.map(({ monitor }) => monitor.probe()))
    while (the(cluster.sight.members[0]).status === undefined) await cluster.clock.advance(1)
    expect(cluster.sight.members.map(({ status: sighting }) => sighting?.timeline)).toEqual([1, undefined])
    expect(cluster.sight.topology.isKnown).toBe(false)
    expect(await openWriter(cluster)).toBe(second)
    await looks
    expect(cluster.news).toEqual([{ to: 'db1:5432', timeline: 2 }])
    expect(the(first).connections).toHaveLength(1) // the monitor's
  })

  test('it is found out by looks alone, without a write', async () => {
    const cluster = watch(2)
    await cluster.look()
    await cluster.clock.advance(1)
    expect(cluster.sight.topology.isKnown).toBe(true)
    expect(cluster.news).toEqual([{ to: 'db0:5432', timeline: 1 }])
  })

  test('once one is known it is gone to directly, and still asked', async () => {
    const cluster = watch(2)
    await openWriter(cluster)
    const [first, second] = cluster.servers
    const before = [the(first).asked.length, the(second).asked.length]
    expect(await openWriter(cluster)).toBe(first)
    expect([the(first).asked.length, the(second).asked.length]).toEqual([(before[0] ?? 0) + 1, before[1]])
  })

  test('when there is none, the error says what is wrong with each', async () => {
    const cluster = watch(3)
    const [first, , third] = cluster.servers
    the(first).isUp = false
    the(third).isSilent = true
    const error = await rejection(cluster.run(cluster.sight.topology.openWriter(), 25))
    expect(error).toBeInstanceOf(NoPrimaryError)
    expect(
      (error as NoPrimaryError).servers.map(({ address, why }) => `${address} ${why.replace(/ db0.*/, '')}`),
    ).toEqual([
      'db0:5432 connect ECONNREFUSED',
      'db1:5432 it follows another server',
      expect.stringContaining('db2:5432'),
    ])
  })
})

describe('a failover', () => {
  test('the old primary dies and another is promoted: it is found, and connections to the old one end', async () => {
    const cluster = watch(2)
    const [first, second] = cluster.servers
    const { topology } = cluster.sight
    const held = await cluster.run(topology.openWriter())
    the(first).isUp = false
    topology.failed(the(cluster.sight.members[0]), new Error('read ECONNRESET'))
    await cluster.clock.advance(1_000)
    expect(topology.isLost).toBe(true)
    Object.assign(the(second), { standby: false, timeline: 2 })
    await cluster.clock.advance(200)
    expect([topology.isLost, topology.writer?.address, topology.timeline]).toEqual([false, 'db1:5432', 2])
    expect(held.isAlive).toBe(false)
    expect(cluster.news).toEqual([
      { to: 'db0:5432', timeline: 1 },
      { lost: 'db0:5432' },
      { to: 'db1:5432', timeline: 2 },
    ])
  })

  test('the old primary comes back and believes in itself: it is seen, and never written to', async () => {
    const cluster = watch(2)
    const [first, second] = await failedOver(cluster)
    the(first).isUp = true
    await cluster.look()
    expect(await openWriter(cluster)).toBe(second)
    // Nor when it is the only one left.
    the(second).isUp = false
    const error = await rejection(cluster.run(cluster.sight.topology.openWriter(), 25))
    expect(error.message).toContain('db0:5432: it was replaced: its timeline is 1, and 2 was seen')
  })

  test('a promotion beside a primary that is alive is seen by a look, and ends what leads to the old one', async () => {
    const cluster = watch(2)
    const [, second] = cluster.servers
    const held = await cluster.run(cluster.sight.topology.openWriter())
    Object.assign(the(second), { standby: false, timeline: 2 })
    await cluster.look()
    expect(held.isAlive).toBe(false)
    expect(await openWriter(cluster)).toBe(second)
  })

  test('a primary that has become a standby is none, until it is promoted again', async () => {
    const cluster = watch(2)
    const [first, second] = cluster.servers
    await openWriter(cluster)
    the(first).standby = true
    await cluster.look()
    expect(cluster.sight.topology.isLost).toBe(true)
    Object.assign(the(second), { standby: false, timeline: 2 })
    expect(await openWriter(cluster)).toBe(second)
    Object.assign(the(second), { standby: true })
    Object.assign(the(first), { standby: false, timeline: 3 })
    expect(await openWriter(cluster)).toBe(first)
  })

  test('an old state that was put in the place of the primary itself is not written to', async () => {
    const cluster = watch(2)
    const [first] = cluster.servers
    the(first).timeline = 2
    expect(await openWriter(cluster)).toBe(first)
    the(first).timeline = 1
    const error = await rejection(cluster.run(cluster.sight.topology.openWriter(), 25))
    expect(error.message).toContain('it was replaced: its timeline is 1, and 2 was seen')
  })

  test('an old primary that answers quickly does not cut short the wait for the new one', async () => {
    const cluster = watch(2)
    const [first, second] = await failedOver(cluster)
    the(first).isUp = true
    the(second).delayMs = 500
    expect((await cluster.run(cluster.sight.topology.find(), 25))?.address).toBe('db1:5432')
  })

  test('a host that is silent holds nobody up for longer than the others are given', async () => {
    const cluster = watch(3)
    const [, , third] = cluster.servers
    the(third).isSilent = true
    const since = cluster.clock.now()
    await openWriter(cluster)
    expect(cluster.clock.now() - since).toBeLessThanOrEqual(250)
  })
})

describe('a server of another database system', () => {
  test('is not written to, whatever its timeline, and is no replica', async () => {
    const cluster = watch(3)
    const [first, second, third] = cluster.servers
    Object.assign(the(second), { standby: false, timeline: 9, system: '7002' })
    Object.assign(the(third), { timeline: 9, system: '7003', lsn: 1_000_000n })
    expect(await openWriter(cluster)).toBe(first)
    await cluster.look()
    expect(cluster.news).toEqual([{ to: 'db0:5432', timeline: 1 }])
    expect(cluster.sight.topology.timeline).toBe(1)
    const context = { scope: { maxLagMs: Number.POSITIVE_INFINITY, maxLagBytes: undefined }, causality: undefined }
    const deadline = Deadline.after(100, cluster.clock)
    const route = await cluster.run(cluster.sight.router.route(context, new Set(), deadline))
    expect(route).toEqual({ kind: 'primary', reason: 'no-replica' })
    // Nor when the primary is gone.
    the(first).isUp = false
    const error = await rejection(cluster.run(cluster.sight.topology.openWriter(), 25))
    expect(error.message).toContain('db1:5432: it is of another database system')
  })

  test('is no replica either where the primary was found by its role alone', async () => {
    const cluster = watch(2)
    const [first, second] = cluster.servers
    Object.assign(the(first), { system: undefined })
    await openWriter(cluster)
    await cluster.look()
    expect(cluster.sight.topology.isForeign({ ...the(the(cluster.sight.members[1]).status), system: '7002' })).toBe(
      false,
    )
    the(first).system = '7001'
    await cluster.look()
    the(second).system = '7002'
    await cluster.look()
    expect(cluster.sight.topology.isForeign(the(the(cluster.sight.members[1]).status))).toBe(true)
  })

  test('in the place of the primary is what the primary has become: all begins anew, timelines too', async () => {
    const cluster = watch(2)
    const [first, second] = cluster.servers
    Object.assign(the(first), { timeline: 5, lsn: 9_000n })
    Object.assign(the(second), { timeline: 5 })
    const held = await cluster.run(cluster.sight.topology.openWriter())
    await cluster.look()
    Object.assign(the(first), { system: '7002', timeline: 1, lsn: 10n })
    await cluster.look()
    await cluster.clock.advance(300)
    expect(held.isAlive).toBe(false)
    const { topology, trail, members } = cluster.sight
    expect([topology.isLost, topology.timeline, topology.writer?.address, trail.lsn]).toEqual([
      false,
      1,
      'db0:5432',
      10n,
    ])
    expect(await openWriter(cluster)).toBe(first)
    expect(cluster.news).toEqual([
      { to: 'db0:5432', timeline: 5 },
      { lost: 'db0:5432' },
      { to: 'db0:5432', timeline: 1 },
    ])
    // The replica follows what is no more, until it was made again.
    await cluster.look()
    expect(topology.isForeign(the(the(members[1]).status))).toBe(true)
    Object.assign(the(second), { system: '7002', timeline: 1, lsn: 10n })
    await cluster.look()
    expect(topology.isForeign(the(the(members[1]).status))).toBe(false)
  })

  test('is found by whoever opens a connection for writes, and then gone to', async () => {
    const cluster = watch(2)
    const [first] = cluster.servers
    the(first).timeline = 3
    await openWriter(cluster)
    Object.assign(the(first), { system: '7002', timeline: 1 })
    const error = await rejection(cluster.run(cluster.sight.topology.openWriter(), 25))
    expect(error.message).toMatch(/^db0:5432 is of another database system than the primary was/)
    expect(await openWriter(cluster)).toBe(first)
  })

  test('is not taken for the primary while that is elsewhere: in its old place, after a failover', async () => {
    const cluster = watch(2)
    const [first, second] = await failedOver(cluster)
    Object.assign(the(first), { isUp: true, system: '7002', timeline: 7 })
    await cluster.look()
    expect(await openWriter(cluster)).toBe(second)
    the(second).isUp = false
    const error = await rejection(cluster.run(cluster.sight.topology.openWriter(), 25))
    expect(error.message).toContain('db0:5432: it is of another database system')
  })
})

test('of a new system the server on its latest timeline is the primary, also when that is not in the old place', async () => {
  const cluster = watch(2)
  const [first, second] = cluster.servers
  await openWriter(cluster)
  Object.assign(the(first), { system: '7002' })
  Object.assign(the(second), { system: '7002', standby: false, timeline: 2 })
  await cluster.run(cluster.sight.topology.openWriter(), 25).catch(() => undefined)
  expect(await openWriter(cluster)).toBe(second)
})

describe('servers that do not tell their timeline', () => {
  test('are believed by their role alone', async () => {
    const cluster = watch(2)
    const [first, second] = cluster.servers
    for (const server of cluster.servers) server.tellsPlace = false
    expect(await openWriter(cluster)).toBe(first)
    expect(cluster.news).toEqual([{ to: 'db0:5432', timeline: undefined }])
    the(first).standby = true
    the(second).standby = false
    expect(await openWriter(cluster)).toBe(second)
  })

  test('are asked for it once over each connection', async () => {
    const cluster = watch(1)
    const [only] = cluster.servers
    the(only).tellsPlace = false
    for (let looks = 0; looks < 5; looks += 1) await cluster.look()
    expect(the(only).asked.filter((text) => text.includes('pg_last_wal_replay_lsn'))).toHaveLength(1)
    expect(the(only).asked).toHaveLength(6)
  })

  test('are no place to write to where others have told theirs', async () => {
    const cluster = watch(2)
    const [first, second] = cluster.servers
    await openWriter(cluster)
    the(first).isUp = false
    Object.assign(the(second), { standby: false, tellsPlace: false })
    const error = await rejection(cluster.run(cluster.sight.topology.openWriter(), 25))
    expect(error.message).toContain('db1:5432: it was replaced')
  })
})

const change = fc.record({
  server: fc.nat(2),
  what: fc.constantFrom('dies', 'starts', 'is promoted', 'follows', 'looks', 'writes', 'is upgraded'),
})

test('whatever happens, a connection for writes leads to a server on the latest timeline of the system', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 30 }), async (changes) => {
      const cluster = new FakeCluster(3)
      const { topology } = cluster.sight
      const held: Connection[] = []
      const latest = new Map([['7001', 1]])
      let systems = 7001
      let seen = { system: '7001', timeline: 0 }
      for (const { server: at, what } of changes) {
        const server = the(cluster.servers[at])
        if (what === 'dies') server.isUp = false
        else if (what === 'starts') server.isUp = true
        else if (what === 'is promoted' && server.standby && server.isUp) {
          const system = the(server.system)
          latest.set(system, the(latest.get(system)) + 1)
          Object.assign(server, { standby: false, timeline: latest.get(system) })
        } else if (what === 'follows') {
          const system = cluster.servers[(at + 1) % 3]?.system ?? '7001'
          Object.assign(server, { standby: true, system, timeline: latest.get(system) })
        } else if (what === 'is upgraded') {
          systems += 1
          latest.set(String(systems), 1)
          Object.assign(server, { standby: false, system: String(systems), timeline: 1 })
        } else if (what === 'looks') await cluster.look()
        else {
          const connection = await cluster.run(topology.openWriter(), 50).catch(() => undefined)
          if (connection !== undefined) {
            const to = serverOf(cluster, connection)
            expect([to.isUp, to.standby, to.timeline]).toEqual([true, false, topology.timeline])
            expect(topology.isForeign({ ...to, askedAt: 0 })).toBe(false)
            held.push(connection)
          }
        }
        const before = topology.isForeign({ ...the(cluster.servers[0]), askedAt: 0, system: seen.system })
        if (!before) expect(topology.timeline).toBeGreaterThanOrEqual(seen.timeline)
        const now = [...latest.keys()].find(
          (system) => !topology.isForeign({ ...the(cluster.servers[0]), askedAt: 0, system }),
        )
        seen = { system: the(now), timeline: topology.timeline }
        // What is still open leads to one server, the writer.
        const targets = new Set(held.filter(({ isAlive }) => isAlive).map((each) => serverOf(cluster, each).where))
        expect(targets.size).toBeLessThanOrEqual(1)
        for (const where of targets) expect(where).toBe(topology.writer?.address)
      }
      // It is found whenever there is one; of which system it is, is known then.
      await cluster.look()
      await cluster.run(topology.openWriter(), 25).catch(() => undefined)
      const able = cluster.servers.filter(
        (server) =>
          server.isUp &&
          !server.standby &&
          server.timeline >= topology.timeline &&
          !topology.isForeign({ ...server, askedAt: 0 }),
      )
      const best = Math.max(...able.map(({ timeline }) => timeline))
      if (able.length > 0) expect((await openWriter(cluster)).timeline).toBe(best)
      else {
        // What the primary has become, if anything.
        const successor = cluster.servers.find(({ where }) => where === topology.writer?.address)
        if (successor?.isUp === true && !successor.standby && topology.isForeign({ ...successor, askedAt: 0 })) {
          await cluster.run(topology.openWriter(), 25).catch(() => undefined)
          expect(await openWriter(cluster)).toBe(successor)
        }
      }
      await cluster.end()
      expect(cluster.clock.timers).toBe(0)
    }),
    seeded(150),
  )
})

test('a wrong password is told at once, and nobody looks for another primary because of it', async () => {
  const cluster = watch(2)
  await openWriter(cluster)
  const [member] = cluster.sight.members
  const refused = Object.assign(new Error('password authentication failed'), { code: '28P01', severity: 'FATAL' })
  Object.assign(the(member), { open: () => Promise.reject(refused) })
  expect(await rejection(cluster.run(cluster.sight.topology.openWriter()))).toBe(refused)
  expect(cluster.sight.topology.isLost).toBe(false)
})

describe('a primary that refuses the login for good', () => {
  const refusal = Object.assign(new Error('not you'), { code: 'P0001', severity: 'FATAL' })

  test('is what is wrong, whatever its replicas say, and is not asked over and over', async () => {
    for (const isKnown of [false, true]) {
      const cluster = watch(3)
      const first = the(cluster.servers[0])
      if (isKnown) await openWriter(cluster)
      first.refusal = refusal
      for (let caller = 0; caller < 3; caller += 1) {
        expect(await rejection(cluster.run(cluster.sight.topology.openWriter()))).toBe(refusal)
      }
      await cluster.run(cluster.sight.topology.find())
      const { logins } = first
      await cluster.clock.advance(60_000)
      expect(first.logins - logins).toBeLessThanOrEqual(1)
      first.refusal = undefined
      expect(await openWriter(cluster)).toBe(first)
    }
  })

  test('is forgotten when another one takes its place', async () => {
    const cluster = watch(3)
    const [first, second] = cluster.servers
    await openWriter(cluster)
    the(first).refusal = refusal
    expect(await rejection(cluster.run(cluster.sight.topology.openWriter()))).toBe(refusal)
    Object.assign(the(second), { standby: false, timeline: 2 })
    await cluster.run(cluster.sight.topology.find())
    expect(await openWriter(cluster)).toBe(second)
  })

  test('is waited for while a server that may be the primary is out of reach', async () => {
    const cluster = watch(3)
    const [first, second] = cluster.servers
    the(first).refusal = refusal
    the(second).isUp = false
    expect(await rejection(cluster.run(cluster.sight.topology.openWriter()))).toBeInstanceOf(NoPrimaryError)
    Object.assign(the(second), { isUp: true, standby: false, timeline: 2 })
    expect(await openWriter(cluster)).toBe(second)
  })
})
