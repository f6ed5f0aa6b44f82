import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type BreakerOptions, breakerFields } from '../../src/options/option-schema.js'
import { resolveFields } from '../../src/options/validate.js'
import {
  type BreakerTransition,
  CircuitBreaker,
  type Permit,
  type ResolvedBreakerOptions,
  type Verdict,
} from '../../src/resilience/circuit-breaker.js'
import { randomFrom, seeded } from '../support/seeded.js'

const half = (): number => 0.5

interface Bench {
  readonly breaker: CircuitBreaker
  readonly changes: BreakerTransition[]
  call(verdict: Verdict, now: number): boolean
  calls(count: number, verdict: Verdict, now: number): void
}

function bench(options: BreakerOptions = {}, random = half): Bench {
  const changes: BreakerTransition[] = []
  const breaker = new CircuitBreaker(resolveFields(breakerFields, options), random, (change) => changes.push(change))
  const call = (verdict: Verdict, now: number): boolean => {
    const permit = breaker.admit(now)
    if (permit !== undefined) breaker.settle(permit, verdict, now)
    return permit !== undefined
  }
  const calls = (count: number, verdict: Verdict, now: number): void => {
    for (let made = 0; made < count; made++) call(verdict, now)
  }
  return { breaker, changes, call, calls }
}

describe('closed', () => {
  test('opens when half of the calls failed, and not with fewer than 20', () => {
    const { breaker, calls, changes } = bench()
    calls(19, 'failure', 0)
    expect(breaker.state).toBe('closed')
    calls(1, 'failure', 1)
    expect(breaker.state).toBe('open')
    expect(changes).toEqual([
      {
        from: 'closed',
        to: 'open',
        reason: 'failure-rate',
        figures: { calls: 20, failures: 20, slow: 0, opensInARow: 1 },
      },
    ])
  })

  test('stays closed below the rate', () => {
    const { breaker, calls } = bench()
    for (let round = 0; round < 100; round++) {
      calls(6, 'success', round * 100)
      calls(5, 'failure', round * 100)
    }
    expect(breaker.state).toBe('closed')
  })

  test('neutral calls count neither way', () => {
    const { breaker, calls } = bench()
    calls(1_000, 'neutral', 0)
    calls(19, 'failure', 0)
    expect(breaker.figures(0)).toMatchObject({ calls: 19, failures: 19 })
    expect(breaker.state).toBe('closed')
  })

  test('opens on slow calls at their own rate', () => {
    const { breaker, calls, changes } = bench({ slowRate: 0.8 })
    calls(4, 'success', 0)
    calls(15, 'slow', 0)
    expect(breaker.state).toBe('closed')
    calls(1, 'slow', 0)
    expect(breaker.state).toBe('open')
    expect(changes[0]?.reason).toBe('slow-rate')
  })

  test('forgets what is older than the window', () => {
    const { breaker, calls } = bench({ windowMs: 10_000 })
    calls(19, 'failure', 0)
    expect(breaker.figures(8_999).calls).toBe(19)
    expect(breaker.figures(10_000).calls).toBe(0)
    calls(19, 'failure', 10_500)
    expect(breaker.state).toBe('closed')
  })

  test('a window of calls forgets the oldest, however old it is', () => {
    const { breaker, calls } = bench({ windowCalls: 20 })
    calls(10, 'failure', 0)
    calls(11, 'success', 1_000_000)
    expect(breaker.figures(1_000_000)).toMatchObject({ calls: 20, failures: 9 })
    calls(9, 'success', 1_000_000)
    expect(breaker.figures(1_000_000)).toMatchObject({ calls: 20, failures: 0 })
    calls(10, 'failure', 1_000_000)
    expect(breaker.state).toBe('open')
  })
})

/** One that has just opened, at time 0, for a second. */
function opened(options: BreakerOptions = {}, random = half): Bench {
  const one = bench(options, random)
  one.calls(20, 'failure', 0)
  expect(one.breaker.state).toBe('open')
  return one
}

describe('open', () => {
  test('rejects until its time is over, and says how long that is', () => {
    const { breaker } = opened()
    expect([breaker.admit(0), breaker.admit(999)]).toEqual([undefined, undefined])
    expect(breaker.retryAfterMs(400)).toBe(600)
    expect(breaker.admit(1_000)?.isProbe).toBe(true)
  })

  test('stays open twice as long each time, up to the most, and spread by a fifth', () => {
    for (const [chance, factor] of [
      [0, 0.8],
      [0.5, 1],
      [0.999_999, 1.2],
    ] as const) {
      const { breaker, call } = opened({ maxOpenMs: 4_000 }, () => chance)
      let now = 0
      const pauses: number[] = []
      for (let round = 0; round < 5; round++) {
        const pause = breaker.retryAfterMs(now)
        pauses.push(pause)
        now += pause
        expect(call('failure', now)).toBe(true)
        call('failure', now)
        expect(breaker.state).toBe('open')
      }
      const expected = [1_000, 2_000, 4_000, 4_000, 4_000].map((ms) => Math.min(4_000, ms * factor))
      expect(pauses.map(Math.round)).toEqual(expected.map(Math.round))
    }
  })
})

describe('half-open', () => {
  test('comes early when the host is seen to answer', () => {
    const { breaker, changes } = opened()
    breaker.serverAnswers(100)
    expect(changes.at(-1)).toMatchObject({ to: 'half-open', reason: 'server-answers' })
    const permit = breaker.admit(100)
    breaker.serverAnswers(100) // nothing new
    expect(permit?.epoch).toBe(breaker.epoch)
  })

  test('lets three probes through and rejects the rest', () => {
    const { breaker } = opened()
    const permits = Array.from({ length: 10 }, () => breaker.admit(1_000))
    expect(permits.filter((permit) => permit !== undefined)).toHaveLength(3)
  })

  test('closes when all of them went well, with a clean sheet', () => {
    const { breaker, calls, changes } = opened()
    calls(3, 'success', 1_000)
    expect(breaker.state).toBe('closed')
    expect(breaker.figures(1_000)).toEqual({ calls: 0, failures: 0, slow: 0, opensInARow: 0 })
    expect(changes.map(({ to, reason }) => `${to}: ${reason}`)).toEqual([
      'open: failure-rate',
      'half-open: time-to-probe',
      'closed: probes-succeeded',
    ])
  })

  test('opens again as soon as the probes cannot come out well any more', () => {
    const { breaker, call } = opened()
    call('failure', 1_000)
    expect(breaker.state).toBe('half-open')
    call('failure', 1_000)
    expect(breaker.state).toBe('open')
  })

  test('a neutral probe makes way for another one', () => {
    const { breaker, calls } = opened()
    calls(50, 'neutral', 1_000)
    expect(breaker.state).toBe('half-open')
    calls(3, 'success', 1_000)
    expect(breaker.state).toBe('closed')
  })

  test('probes that never come back open it again: it is never stuck', () => {
    const { breaker, changes } = opened({ maxOpenMs: 5_000 })
    for (let asked = 0; asked < 3; asked++) breaker.admit(1_000)
    expect(breaker.admit(5_999)).toBeUndefined()
    expect(breaker.state).toBe('half-open')
    expect(breaker.admit(6_000)).toBeUndefined()
    expect(changes.at(-1)).toMatchObject({ to: 'open', reason: 'probes-silent' })
    expect(breaker.admit(8_000)?.isProbe).toBe(true)
  })

  test('what began in another epoch is not counted', () => {
    const { breaker, calls } = bench()
    const old = breaker.admit(0) as Permit
    calls(20, 'failure', 0)
    breaker.admit(1_000)
    expect(breaker.state).toBe('half-open')
    breaker.settle(old, 'failure', 1_000)
    breaker.observe(1, 'failure', 1_000)
    expect(breaker.figures(1_000)).toMatchObject({ calls: 0, failures: 0 })
  })

  test('settling a probe twice counts once', () => {
    const { breaker } = opened()
    const permit = breaker.admit(1_000) as Permit
    breaker.settle(permit, 'success', 1_000)
    breaker.settle(permit, 'success', 1_000)
    breaker.settle(permit, 'success', 1_000)
    expect(breaker.state).toBe('half-open')
    expect(breaker.figures(1_000).calls).toBe(1)
  })
})

/**
 * The same rules written down again as naively as can be: every call is kept, and every question is answered by looking
 * through all of them.
 */
class Model {
  state: 'closed' | 'open' | 'half-open' = 'closed'
  epoch = 1
  #log: { stretch: number; verdict: Verdict }[] = []
  #until = 0
  #giveUpAt = 0
  #opens = 0
  #out = new Set<number>()
  #probes: Verdict[] = []
  #nextProbe = 1

  readonly options: ResolvedBreakerOptions

  constructor(options: ResolvedBreakerOptions) {
    this.options = options
  }

  due(now: number): void {
    if (this.state === 'half-open' && now >= this.#giveUpAt) this.#open(now)
    else if (this.state === 'open' && now >= this.#until) this.#halfOpen(now)
  }

  hostAnswers(now: number): void {
    this.due(now)
    if (this.state === 'open') this.#halfOpen(now)
  }

  #halfOpen(now: number): void {
    this.state = 'half-open'
    this.epoch++
    this.#giveUpAt = now + this.options.maxOpenMs
    this.#out = new Set()
    this.#probes = []
  }

  admit(now: number): { epoch: number; probe: number } | undefined {
    this.due(now)
    if (this.state === 'closed') return { epoch: this.epoch, probe: 0 }
    if (this.state === 'open' || this.#out.size + this.#probes.length >= this.options.halfOpenCalls) return undefined
    const probe = this.#nextProbe++
    this.#out.add(probe)
    return { epoch: this.epoch, probe }
  }

  settle(permit: { epoch: number; probe: number }, verdict: Verdict, now: number): void {
    if (permit.probe === 0) {
      this.observe(permit.epoch, verdict, now)
      return
    }
    this.due(now)
    if (this.state !== 'half-open' || permit.epoch !== this.epoch || !this.#out.delete(permit.probe)) return
    if (verdict === 'neutral') return
    this.#probes.push(verdict)
    const { halfOpenCalls, failureRate, slowRate } = this.options
    const failed = this.#probes.filter((one) => one === 'failure').length
    const slow = this.#probes.filter((one) => one === 'slow').length
    if (failed > 0 && failed >= failureRate * halfOpenCalls) this.#open(now)
    else if (slow > 0 && failed + slow >= slowRate * halfOpenCalls) this.#open(now)
    else if (this.#probes.length >= halfOpenCalls) {
      this.state = 'closed'
      this.epoch++
      this.#opens = 0
      this.#log = []
    }
  }

  observe(epoch: number, verdict: Verdict, now: number): void {
    if (verdict === 'neutral' || epoch !== this.epoch || this.state !== 'closed') return
    const { windowMs, windowCalls, minCalls, failureRate, slowRate } = this.options
    const stretch = Math.floor(now / (windowMs / 10))
    this.#log.push({ stretch, verdict })
    this.#log =
      windowCalls === undefined ? this.#log.filter((one) => one.stretch > stretch - 10) : this.#log.slice(-windowCalls)
    if (verdict === 'success' || this.#log.length < minCalls) return
    const failed = this.#log.filter((one) => one.verdict === 'failure').length
    const slow = this.#log.filter((one) => one.verdict === 'slow').length
    if (failed > 0 && failed >= failureRate * this.#log.length) this.#open(now)
    else if (slow > 0 && failed + slow >= slowRate * this.#log.length) this.#open(now)
  }

  #open(now: number): void {
    this.state = 'open'
    this.epoch++
    const { openMs, maxOpenMs } = this.options
    this.#until = now + Math.min(maxOpenMs, openMs * 2 ** this.#opens)
    this.#opens = Math.min(this.#opens + 1, 30)
  }
}

const optionsOfARun = fc.record({
  failureRate: fc.constantFrom(0.1, 0.5, 1),
  slowRate: fc.constantFrom(0.3, 0.8, 1),
  minCalls: fc.integer({ min: 1, max: 12 }),
  windowMs: fc.constantFrom(50, 1_000),
  windowCalls: fc.constantFrom(undefined, 12, 30),
  halfOpenCalls: fc.integer({ min: 1, max: 5 }),
  openMs: fc.constantFrom(10, 100),
  maxOpenMs: fc.constantFrom(100, 1_000),
})

test('does what the model does, through 100,000 random events, and is never stuck', () => {
  const eventsOfARun = 1_000
  const visited = new Map<string, number>()
  fc.assert(
    fc.property(
      optionsOfARun,
      fc.integer({ min: 0 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (options, seed, health) => {
        const random = randomFrom(seed)
        const resolved = resolveFields(breakerFields, options)
        const breaker = new CircuitBreaker(resolved, half, ({ to, reason }) => {
          visited.set(`${to}: ${reason}`, (visited.get(`${to}: ${reason}`) ?? 0) + 1)
        })
        const model = new Model(resolved)
        const out: { real: Permit; model: { epoch: number; probe: number } }[] = []
        let now = 0
        const verdict = (): Verdict => {
          const roll = random()
          if (roll < 0.15) return 'neutral'
          if (random() < health) return 'success'
          return roll < 0.7 ? 'failure' : 'slow'
        }
        for (let event = 0; event < eventsOfARun; event++) {
          const roll = random()
          if (roll < 0.15) now += random() * random() * 150
          else if (roll < 0.55) {
            const [real, expected] = [breaker.admit(now), model.admit(now)]
            expect(real !== undefined).toBe(expected !== undefined)
            if (real !== undefined && expected !== undefined) {
              expect([real.epoch, real.isProbe]).toEqual([expected.epoch, expected.probe !== 0])
              out.push({ real, model: expected })
            }
          } else if (roll < 0.92) {
            // Some are never settled, some late, some twice.
            const at = Math.floor(random() * out.length)
            const permit = out[at]
            if (permit === undefined) continue
            const said = verdict()
            breaker.settle(permit.real, said, now)
            model.settle(permit.model, said, now)
            if (random() < 0.9) out.splice(at, 1)
          } else {
            const epoch = model.epoch - Math.floor(random() * 2)
            const said = verdict()
            breaker.observe(epoch, said, now)
            model.observe(epoch, said, now)
          }
          expect([breaker.state, breaker.epoch]).toEqual([model.state, model.epoch])
        }
        // Whatever has happened: with time and a host that is well again it closes.
        for (let round = 0; round < 4 && breaker.state !== 'closed'; round++) {
          now += resolved.maxOpenMs
          for (let call = 0; call < resolved.halfOpenCalls; call++) {
            const permit = breaker.admit(now)
            if (permit !== undefined) breaker.settle(permit, 'success', now)
          }
        }
        expect(breaker.state).toBe('closed')
      },
    ),
    seeded(100),
  )
  for (const reason of ['open: failure-rate', 'open: slow-rate', 'open: probe-failed', 'open: probes-silent']) {
    expect(visited.get(reason), reason).toBeGreaterThan(0)
  }
  expect(visited.get('closed: probes-succeeded')).toBeGreaterThan(0)
})
