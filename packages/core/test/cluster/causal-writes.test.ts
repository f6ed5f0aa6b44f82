import { expect, test } from 'vitest'
import { Causality, type CausalToken } from '../../src/cluster/causality.js'
import type { ClusterMember } from '../../src/cluster/member.js'
import type { ServerStatus } from '../../src/cluster/probe.js'
import { CausalWrites } from '../../src/cluster/write-positions.js'
import { Deadline, noDeadline } from '../../src/deadline/deadline.js'
import { FakeClock } from '../support/fake-clock.js'
import { rejection } from '../support/test-pool.js'

const here: CausalToken = { timeline: 1, lsn: 100n }

/** A primary that was seen like that, and that answers a question for its position with what `next` gives. */
function writesOf(seen: Partial<ServerStatus> | undefined, next: () => Promise<CausalToken>) {
  const clock = new FakeClock()
  const asked = { times: 0 }
  const positions = {
    next: () => {
      asked.times += 1
      return next()
    },
  }
  const writer = { status: seen as ServerStatus | undefined } as ClusterMember
  return { clock, asked, writes: new CausalWrites(positions, { writer }, clock, 100) }
}

const tells: Partial<ServerStatus> = { standby: false, timeline: 1, lsn: 1n }
const mute: Partial<ServerStatus> = { standby: false, timeline: undefined, lsn: undefined }

test('a write is waited for until its position is known, and a line of work that wrote nothing is not', async () => {
  const { writes, asked } = writesOf(tells, () => Promise.resolve(here))
  const causality = new Causality(undefined)
  expect(await writes.settle(causality, noDeadline)).toBeUndefined()
  expect(asked.times).toBe(0)
  writes.wrote(causality)
  expect(await writes.settle(causality, noDeadline)).toBeUndefined()
  expect([causality.token, asked.times]).toEqual([here, 1])
  // One of unknown position is before whatever is asked for next.
  causality.noteUnknown()
  expect(await writes.settle(causality, noDeadline)).toBeUndefined()
  expect([causality.isUnknown, asked.times]).toEqual([false, 2])
})

test('a primary that tells no position is not asked for any: who has written reads there, from then on', async () => {
  const { writes, asked } = writesOf(mute, () => Promise.reject(new Error('not supported')))
  const causality = new Causality(undefined)
  expect(await writes.settle(causality, noDeadline)).toBeUndefined()
  writes.wrote(causality)
  for (let reads = 0; reads < 3; reads += 1) expect(await writes.settle(causality, noDeadline)).toBe('no-position')
  expect([writes.isMute, asked.times]).toEqual([true, 0])
})

test('one that was not seen yet may tell, and a question that fails leaves the read to the primary', async () => {
  const { writes, asked } = writesOf(undefined, () => Promise.reject(new Error('lost')))
  const causality = new Causality(undefined)
  writes.wrote(causality)
  expect(await writes.settle(causality, noDeadline)).toBe('causality')
  expect([writes.isMute, asked.times]).toEqual([false, 2])
})

test('a position that does not come in time is not waited for any longer, nor longer than the caller can', async () => {
  const { writes, clock } = writesOf(tells, () => new Promise(() => undefined))
  const causality = new Causality(undefined)
  writes.wrote(causality)
  const settled = writes.settle(causality, noDeadline)
  await clock.advance(100)
  expect(await settled).toBe('causality')
  const hurried = rejection(writes.settle(causality, Deadline.after(10, clock)))
  await clock.advance(10)
  expect((await hurried).code).toBe('LIFEGUARD_TIMEOUT')
  expect(clock.timers).toBe(0)
})
