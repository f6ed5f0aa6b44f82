import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Codel, type ResolvedOverload } from '../../src/resilience/codel.js'
import { seeded } from '../support/seeded.js'

interface Call {
  readonly askedAt: number
  readonly how: 'served' | 'shed' | 'late'
  readonly waitedMs: number
}

/** A server with so many places, each busy for `workMs` a call; callers wait for `deadlineMs` at most. Steps of 1 ms. */
function simulate(options: {
  readonly overload?: ResolvedOverload
  readonly places: number
  readonly workMs: number
  readonly deadlineMs: number
  readonly arrivals: (ms: number) => number
  readonly forMs: number
  /** Each caller asks again so long after it was answered, 1 ms or more. */
  readonly againAfterMs?: number
  /** The process stands still for so long before this time: what comes meanwhile comes at once behind it. */
  readonly pause?: { readonly ms: number; readonly until: number }
}): { readonly calls: Call[]; readonly longestQueue: number } {
  const codel = new Codel(options.overload ?? { targetMs: 50, intervalMs: 2_000 })
  const queue: number[] = []
  const busyUntil: number[] = Array.from({ length: options.places }, () => -1)
  const calls: Call[] = []
  let longestQueue = 0
  const back = new Map<number, number>()
  const answered = (now: number): void => {
    if (options.againAfterMs === undefined) return
    const at = now + options.againAfterMs
    back.set(at, (back.get(at) ?? 0) + 1)
  }
  let held = 0
  for (let now = 0; now < options.forMs; now++) {
    const { ms, until } = options.pause ?? { ms: 0, until: 0 }
    if (now >= until - ms && now < until) {
      held += options.arrivals(now)
      continue
    }
    const coming = held + options.arrivals(now) + (back.get(now) ?? 0)
    held = 0
    for (let one = 0; one < coming; one++) {
      if (queue.length === 0) codel.formed(now)
      codel.arrived(options.deadlineMs)
      queue.push(now)
    }
    while (queue[0] !== undefined && now - queue[0] >= options.deadlineMs) {
      calls.push({ askedAt: queue[0], how: 'late', waitedMs: now - queue[0] })
      queue.shift()
      codel.gaveUp()
      answered(now)
    }
    codel.update(now, queue.length, now - (queue[0] ?? now))
    for (const [place, until] of busyUntil.entries()) {
      if (until > now) continue
      if (until === now) answered(now)
      while (codel.isSlow && queue[0] !== undefined && now - queue[0] > codel.boundMs) {
        calls.push({ askedAt: queue[0], how: 'shed', waitedMs: now - queue[0] })
        queue.shift()
        codel.shed(now)
      }
      const next = queue.shift()
      if (next === undefined) continue
      calls.push({ askedAt: next, how: 'served', waitedMs: now - next })
      codel.served(now, now - next, queue.length, now - (queue[0] ?? now))
      busyUntil[place] = now + options.workMs
    }
    longestQueue = Math.max(longestQueue, queue.length)
  }
  return { calls, longestQueue }
}

const count = (calls: readonly Call[], how: Call['how']): number => calls.filter((call) => call.how === how).length

describe('what is overload', () => {
  test('ten times what can be served is seen within a quarter of a second, and the others are served in time', () => {
    const { calls, longestQueue } = simulate({
      places: 10,
      workMs: 20,
      deadlineMs: 1_000,
      arrivals: (ms) => (ms < 8_000 ? 5 : 0),
      forMs: 9_000,
    })
    const served = calls.filter(({ how }) => how === 'served')
    expect(served.length).toBeGreaterThan(0.98 * 500 * 8)
    expect(Math.max(...served.map(({ waitedMs }) => waitedMs))).toBeLessThan(250)
    expect(longestQueue).toBeLessThan(1_200)
    expect(count(calls, 'late')).toBe(0)
    expect(Math.min(...calls.filter(({ how }) => how === 'shed').map(({ askedAt }) => askedAt))).toBeLessThan(200)
  })

  test('overload that pauses now and then is seen again at once', () => {
    const { calls } = simulate({
      places: 10,
      workMs: 20,
      deadlineMs: 1_000,
      arrivals: (ms) => (ms % 900 < 700 ? 5 : 0),
      forMs: 12_000,
    })
    const served = calls.filter(({ how }) => how === 'served')
    expect(Math.max(...served.map(({ waitedMs }) => waitedMs))).toBeLessThan(330)
    expect(count(calls, 'late')).toBe(0)
  })

  test('a pause of the process, behind which everybody is new, is not its end', () => {
    const { calls } = simulate({
      places: 10,
      workMs: 20,
      deadlineMs: 1_000,
      arrivals: () => 5,
      forMs: 4_000,
      // Shortly before the end of an interval.
      pause: { ms: 110, until: 1_950 },
    })
    const later = calls.filter(({ how, askedAt }) => how === 'served' && askedAt >= 300)
    expect(later.some(({ waitedMs }) => waitedMs < 50)).toBe(true)
    expect(Math.max(...later.map(({ waitedMs }) => waitedMs))).toBeLessThanOrEqual(100)
  })

  test('a tenth more than can be served is seen when callers begin to be lost, and then nobody is late', () => {
    const { calls } = simulate({
      places: 10,
      workMs: 20,
      deadlineMs: 1_000,
      arrivals: (ms) => (ms % 20 === 0 ? 11 : 0),
      forMs: 40_000,
    })
    const late = calls.filter(({ how }) => how === 'late')
    expect(Math.max(...late.map(({ askedAt }) => askedAt))).toBeLessThan(16_000)
    const after = calls.filter(({ askedAt, how }) => askedAt > 20_000 && how === 'served')
    expect(after.length).toBeGreaterThan(0.97 * 500 * 19.8)
    expect(Math.max(...after.map(({ waitedMs }) => waitedMs))).toBeLessThanOrEqual(100)
  })

  test.each([
    ['200 callers at once for ten places of 100 ms', 10, 100, (ms: number) => (ms === 0 ? 200 : 0)],
    ['400 callers at once, four seconds of work', 10, 100, (ms: number) => (ms === 0 ? 400 : 0)],
    ['a burst every two seconds', 10, 20, (ms: number) => (ms % 2_000 === 0 ? 900 : 0)],
    ['nine tenths of what can be served', 10, 20, (ms: number) => (ms % 20 === 0 ? 9 : 0)],
  ])('%s is not', (_, places, workMs, arrivals) => {
    const { calls } = simulate({ places, workMs, deadlineMs: 5_000, arrivals, forMs: 12_000 })
    expect([count(calls, 'shed'), count(calls, 'late')]).toEqual([0, 0])
  })

  test.each([
    ['100 workers on 10 places', 100, 10, 100, 10, 1],
    ['25 workers on 10 places of two seconds', 25, 10, 2_000, 10, 1],
    ['20 workers at once on 4 slow places, who pause between two calls', 20, 4, 600, 0, 90],
    ['200 workers at once on 50 slow places, who pause between two calls', 200, 50, 700, 0, 130],
  ])(
    '%s is not, however long they wait: they come back and lose nothing',
    (_, workers, places, workMs, apart, againAfterMs) => {
      const arrivals = (ms: number): number => {
        if (apart === 0) return ms === 0 ? workers : 0
        return ms < workers * apart && ms % apart === 0 ? 1 : 0
      }
      const { calls } = simulate({ places, workMs, deadlineMs: 5_000, arrivals, forMs: 20_000, againAfterMs })
      expect([count(calls, 'shed'), count(calls, 'late')]).toEqual([0, 0])
    },
  )

  test('is over when the load is: the next burst is served', () => {
    const arrivals = (ms: number): number => (ms < 3_000 ? 5 : ms === 3_500 ? 200 : 0)
    const { calls } = simulate({ places: 10, workMs: 20, deadlineMs: 1_000, arrivals, forMs: 6_000 })
    expect(count(calls, 'shed')).toBeGreaterThan(1_000)
    expect(calls.filter(({ askedAt }) => askedAt >= 3_500).map(({ how }) => how)).toEqual(Array(200).fill('served'))
  })
})

type Event =
  | { readonly do: 'formed' | 'gaveUp' | 'turnedAway' | 'restart' }
  | { readonly do: 'served'; readonly waitedMs: number }
  | { readonly do: 'look' | 'wait' | 'came' }

/** Somebody left the queue, served after a wait or in vain. */
interface Left {
  readonly at: number
  readonly interval: number
  readonly period: number
  readonly waitedMs: number | undefined
  /** Others had just been turned away: the wait says nothing of the queue. */
  readonly isHelped: boolean
}

/** The same from a list of all that happened, looked through anew each time. */
class Reference {
  isSlow = false
  #at = 0
  #period = 0
  /** How long the queue was at each look, by interval; and before the first of them. */
  readonly #lengths: { readonly interval: number; readonly waiting: number }[] = []
  #wasSlow = false
  #wasSlowBefore = false
  #patienceMs: number
  #length: number | undefined = 0
  #periodLength = 0
  #before: { readonly from: number; readonly until: number } | undefined
  #fresh = true
  #freshPeriod = true
  readonly #log: Left[] = []
  #turnedAway: number[] = []
  /** What had left when it became slow is no sign of its end. */
  #slowFrom = 0
  #intervals = 0
  #periods = 0
  readonly #options: ResolvedOverload

  constructor(options: ResolvedOverload) {
    this.#options = options
    this.#patienceMs = options.intervalMs
  }

  restart(now: number, waiting: number | undefined): void {
    this.isSlow = this.#wasSlow = this.#wasSlowBefore = false
    this.#before = undefined
    this.#turnedAway = []
    this.#intervals += 2
    this.#periods += 1
    this.#at = this.#period = now
    this.#length = waiting
    this.#periodLength = waiting ?? 0
    this.#fresh = this.#freshPeriod = true
  }

  formed(now: number): void {
    const lastServed = this.#log.findLast(({ waitedMs }) => waitedMs !== undefined)?.at ?? 0
    if (!(this.isSlow && now - lastServed <= 2 * this.#options.targetMs)) this.restart(now, undefined)
  }

  arrived(patienceMs: number): void {
    this.#patienceMs = this.#patienceMs * (15 / 16) + Math.min(patienceMs, this.#options.intervalMs) / 16
  }

  left(at: number, waitedMs: number | undefined): void {
    const isHelped = this.#turnedAway.some((time) => time >= at - 2 * this.#options.targetMs)
    this.#log.push({ at, interval: this.#intervals, period: this.#periods, waitedMs, isHelped })
  }

  shed(at: number): void {
    this.#turnedAway.push(at)
  }

  update(now: number, waiting: number, oldestMs: number): void {
    const { targetMs, intervalMs } = this.#options
    if (now - this.#period < targetMs) return
    const waits = (of: readonly Left[], isFresh: boolean, unknown: number): number => {
      const all = of.flatMap(({ waitedMs }) => (waitedMs === undefined ? [] : [waitedMs]))
      if (isFresh) all.push(0)
      return all.length === 0 ? unknown : Math.min(...all)
    }
    const interval = this.#log.filter((one) => one.interval === this.#intervals)
    const earlier = this.#log.filter((one) => one.interval === this.#intervals - 1)
    const period = this.#log.filter((one) => one.period === this.#periods)
    const served = [...interval, ...earlier].filter(({ waitedMs }) => waitedMs !== undefined).length
    const span = now - this.#at + (this.#before === undefined ? 0 : this.#before.until - this.#before.from)
    const grows = waiting > this.#periodLength && this.#length !== undefined && waiting >= 1.25 * this.#length
    const foreseen =
      served >= 10 && grows && waiting / (served / span) > (this.#wasSlowBefore ? 4 * targetMs : this.#patienceMs)
    if (waits(period, this.#freshPeriod, oldestMs) > targetMs && foreseen) {
      if (!this.isSlow) {
        this.#fresh = false
        this.#slowFrom = this.#log.length
      }
      this.isSlow = this.#wasSlow = true
    }
    this.#length ??= waiting
    this.#lengths.push({ interval: this.#intervals, waiting })
    this.#periods += 1
    this.#period = now
    this.#periodLength = waiting
    this.#freshPeriod = false
    if (now - this.#at < intervalMs) return
    const lost = interval.filter(({ waitedMs }) => waitedMs === undefined).length
    const isLosing = lost > 0 && lost / interval.length >= 1 / 20
    const unhelped = this.#log.filter((one, n) => interval.includes(one) && n >= this.#slowFrom && !one.isHelped)
    const unknown = this.#turnedAway.some((time) => time >= this.#at) ? Number.POSITIVE_INFINITY : oldestMs
    this.isSlow = waits(unhelped, this.#fresh, unknown) > targetMs && (this.isSlow || isLosing)
    this.#before = { from: this.#at, until: now }
    this.#intervals += 1
    this.#at = now
    const lengths = this.#lengths.filter((one) => one.interval === this.#intervals - 1)
    this.#length = this.#wasSlow ? waiting : Math.max(...lengths.map((one) => one.waiting))
    this.#wasSlowBefore = this.#wasSlow
    this.#wasSlow = this.isSlow
    this.#fresh = false
  }
}

test('agrees with a model that keeps all that happened', () => {
  const event: fc.Arbitrary<Event> = fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({ do: fc.constant('served' as const), waitedMs: fc.nat({ max: 40 }) }),
    },
    {
      weight: 3,
      arbitrary: fc.constantFrom<Event>(
        { do: 'look' },
        { do: 'wait' },
        { do: 'came' },
        { do: 'gaveUp' },
        { do: 'turnedAway' },
      ),
    },
    { weight: 1, arbitrary: fc.constantFrom<Event>({ do: 'formed' }, { do: 'restart' }) },
  )
  const step = fc.tuple(event, fc.nat({ max: 6 }), fc.nat({ max: 200 }), fc.nat({ max: 30 }))
  const options = { targetMs: 10, intervalMs: 60 }
  let slow = 0
  fc.assert(
    fc.property(fc.array(step, { minLength: 30, maxLength: 300, size: 'max' }), (steps) => {
      const codel = new Codel(options)
      const reference = new Reference(options)
      let now = 1_000
      codel.restart(now, 0)
      reference.restart(now, 0)
      for (const [one, ms, waiting, oldestMs] of steps) {
        now += ms
        switch (one.do) {
          case 'formed':
            codel.formed(now)
            reference.formed(now)
            break
          case 'restart':
            codel.restart(now, waiting)
            reference.restart(now, waiting)
            break
          case 'came':
            codel.arrived(waiting)
            reference.arrived(waiting)
            break
          case 'gaveUp':
            codel.gaveUp()
            reference.left(now, undefined)
            break
          case 'turnedAway':
            codel.shed(now)
            reference.shed(now)
            break
          case 'served':
            codel.served(now, one.waitedMs, waiting, oldestMs)
            reference.left(now, one.waitedMs)
            reference.update(now, waiting, oldestMs)
            break
          case 'look':
            codel.update(now, waiting, oldestMs)
            reference.update(now, waiting, oldestMs)
            break
          case 'wait':
            break
        }
        expect(codel.isSlow).toBe(reference.isSlow)
        if (codel.isSlow) slow += 1
      }
    }),
    seeded(300),
  )
  expect(slow).toBeGreaterThan(100)
})
