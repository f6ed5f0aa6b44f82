import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ConnectGate } from '../../src/resilience/connect-gate.js'
import { randomFrom, seeded } from '../support/seeded.js'

const half = (): number => 0.5
const refused = new Error('connect ECONNREFUSED')

/** Times of the attempts while the server is down: a caller who always asks again as soon as the gate lets him. */
function attemptsWhileDown(gate: ConnectGate, from: number, until: number): number[] {
  const times: number[] = []
  let now = from
  while (now < until) {
    const answer = gate.ask(now, 0)
    if (answer.go) {
      times.push(now)
      gate.started(now)
      gate.failed(now, refused)
    } else {
      if (answer.retryInMs === undefined) throw new Error('a gate that is down, with nothing under way, must say when')
      now += answer.retryInMs
    }
  }
  return times
}

describe('the connect gate', () => {
  test('lets everything through while the server answers', () => {
    const gate = new ConnectGate(half)
    expect([0, 1, 50, 1_000].map((opening) => gate.ask(0, opening).go)).toEqual([true, true, true, true])
    expect(gate.isDown).toBe(false)
  })

  test('once down admits one prober, and the next not before its time', () => {
    const gate = new ConnectGate(half)
    gate.started(0)
    gate.failed(0, refused)
    expect(gate.isDown).toBe(true)
    expect(gate.ask(0, 0)).toEqual({ go: false, retryInMs: 72 })
    expect(gate.ask(71, 0)).toEqual({ go: false, retryInMs: 1 })
    expect(gate.ask(72, 0)).toEqual({ go: true })
  })

  test('a prober that hears nothing is joined by another after 0.9 s, and by a third: no more', () => {
    const gate = new ConnectGate(half)
    gate.started(0)
    gate.failed(0, refused)
    gate.started(72)
    expect(gate.ask(72, 1)).toEqual({ go: false, retryInMs: 900 })
    expect(gate.ask(971.5, 1)).toEqual({ go: false, retryInMs: 1 })
    expect(gate.ask(972, 1)).toEqual({ go: true })
    gate.started(972)
    expect(gate.ask(1_872, 2)).toEqual({ go: true })
    gate.started(1_872)
    expect(gate.ask(9_999, 3)).toEqual({ go: false, retryInMs: undefined })
  })

  test('probes from start to start: what an attempt takes to fail is no part of the pause', () => {
    const gate = new ConnectGate(half)
    gate.started(0)
    gate.failed(30, refused)
    expect(gate.ask(30, 0)).toEqual({ go: false, retryInMs: 42 })
    gate.started(72)
    gate.failed(172, refused)
    expect(gate.ask(172, 0)).toEqual({ go: true })
  })

  test('tells how many attempts failed and what the last one said, until one succeeds', () => {
    const gate = new ConnectGate(half)
    gate.failed(0, new Error('first'))
    gate.failed(1, refused)
    expect([gate.failuresInARow, gate.lastError]).toEqual([2, refused])
    gate.succeeded(10)
    expect([gate.failuresInARow, gate.lastError]).toEqual([0, undefined])
  })

  test('probes about every 72 ms for 10 s, then ever more slowly down to every 0.9 s', () => {
    const gate = new ConnectGate(half)
    const times = attemptsWhileDown(gate, 0, 120_000)
    expect(times.filter((time) => time < 10_000)).toHaveLength(139)
    const pauses = times.slice(1).map((time, index) => time - (times[index] ?? 0))
    expect(pauses.slice(138, 145)).toEqual([72, 200, 400, 800, 900, 900, 900])
    expect(Math.max(...pauses)).toBe(900)
  })

  test('with any jitter never probes more than 14 times a second, and never stops', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const times = attemptsWhileDown(new ConnectGate(randomFrom(seed)), 0, 60_000)
        for (const time of times) {
          expect(times.filter((other) => other >= time && other < time + 1_000).length).toBeLessThanOrEqual(14)
        }
        const firstTen = times.filter((time) => time < 10_000).length
        expect(firstTen).toBeGreaterThanOrEqual(131)
        expect(firstTen).toBeLessThanOrEqual(150)
        expect(times.filter((time) => time >= 20_000 && time < 60_000).length).toBeLessThanOrEqual(56)
        expect(times.at(-1)).toBeGreaterThan(60_000 - 1_000)
      }),
      seeded(50),
    )
  })

  test('a second outage is probed quickly again', () => {
    const gate = new ConnectGate(half)
    attemptsWhileDown(gate, 0, 60_000)
    gate.succeeded(1)
    gate.started(70_000)
    gate.failed(70_000, refused)
    expect(gate.ask(70_000, 0)).toEqual({ go: false, retryInMs: 72 })
  })

  test('when the server is back doubles the attempts at a time up to the size of the pool', () => {
    const gate = new ConnectGate(half)
    const limit = (): number =>
      Array.from({ length: 100 }, (_, opening) => gate.ask(0, opening).go).filter(Boolean).length
    gate.failed(0, refused)
    gate.succeeded(20)
    const limits = [limit()]
    for (let success = 0; success < 4; success++) {
      gate.succeeded(20)
      limits.push(limit())
    }
    expect(limits).toEqual([2, 4, 8, 16, 100])
  })

  test('a small pool needs no ramp', () => {
    const gate = new ConnectGate(half)
    gate.failed(0, refused)
    gate.succeeded(2)
    expect(gate.ask(0, 50)).toEqual({ go: true })
  })

  test('the ramp comes on top of the probes before it: 14 attempts within a second of a failure, no more', () => {
    const gate = new ConnectGate(half)
    const probes = attemptsWhileDown(gate, 0, 1_000)
    const last = probes.at(-1) ?? 0
    gate.started(1_000)
    gate.succeeded(20)
    const times = [...probes, 1_000]
    let now = 1_001
    while (times.length < probes.length + 20) {
      const answer = gate.ask(now, 0)
      if (answer.go) {
        gate.started(now)
        gate.succeeded(20)
        times.push(now)
      } else now += answer.retryInMs ?? Number.NaN
    }
    const within = (time: number): number => times.filter((other) => other >= time && other < time + 1_000).length
    expect(Math.max(...times.filter((time) => time < last).map(within))).toBe(14)
    // A second after the last failure nothing is held back any more.
    expect(now).toBe(last + 1_000)
  })

  test('a failure on the ramp is a new outage', () => {
    const gate = new ConnectGate(half)
    gate.failed(0, refused)
    gate.succeeded(20)
    gate.started(50)
    gate.failed(50, refused)
    expect(gate.isDown).toBe(true)
    expect(gate.ask(121, 0).go).toBe(false)
    expect(gate.ask(122, 0).go).toBe(true)
  })

  test('holds its promises whatever happens in whatever order', () => {
    const event = fc.oneof(
      { weight: 3, arbitrary: fc.constant({ kind: 'ask' } as const) },
      { weight: 2, arbitrary: fc.constant({ kind: 'fail' } as const) },
      { weight: 2, arbitrary: fc.constant({ kind: 'succeed' } as const) },
      { weight: 2, arbitrary: fc.integer({ min: 0, max: 400 }).map((ms) => ({ kind: 'wait', ms }) as const) },
    )
    fc.assert(
      fc.property(
        fc.integer(),
        fc.integer({ min: 1, max: 20 }),
        fc.array(event, { maxLength: 200 }),
        (seed, max, events) => {
          const gate = new ConnectGate(randomFrom(seed))
          let now = 0
          let opening = 0
          let hasFailed = false
          let startedAt = Number.NEGATIVE_INFINITY
          for (const step of events) {
            if (step.kind === 'wait') now += step.ms
            else if (step.kind === 'ask') {
              const answer = gate.ask(now, opening)
              if (answer.go) {
                if (hasFailed) {
                  // One at a time while it is down, unless that one has heard nothing for long ...
                  if (opening > 0) expect(now - startedAt).toBeGreaterThanOrEqual(900)
                  expect(opening).toBeLessThan(3)
                  expect(now - startedAt).toBeGreaterThanOrEqual(67) // ... and not in a row
                }
                startedAt = now
                opening += 1
                gate.started(now)
              } else if (opening === 0) {
                // With nothing under way nobody would wake the pool: the gate must say when, and it must be soon.
                expect(answer.retryInMs).toBeGreaterThan(0)
                expect(answer.retryInMs).toBeLessThanOrEqual(6_000)
              }
            } else if (opening > 0) {
              opening -= 1
              if (step.kind === 'fail') gate.failed(now, refused)
              else gate.succeeded(max)
              hasFailed = step.kind === 'fail'
              expect(gate.isDown).toBe(step.kind === 'fail')
            }
          }
          // Never stuck: what is under way comes to an end, the server is well, and everything is let through again.
          for (; opening > 0; opening--) gate.succeeded(max)
          now += 6_000
          for (let success = 0; success < 6; success++) {
            expect(gate.ask(now, 0).go).toBe(true)
            gate.succeeded(max)
          }
          expect(gate.ask(now, 1_000)).toEqual({ go: true })
        },
      ),
      seeded(300),
    )
  })
})
