import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Deadline, type GivenUpReason, noDeadline } from '../../src/deadline/deadline.js'
import { RetryGate, type Turn, type TurnOutcome } from '../../src/resilience/retry-gate.js'
import { EarlyClock, FakeClock, settle } from '../support/fake-clock.js'
import { longEnough, randomFrom, seeded } from '../support/seeded.js'

/** One who has come to the gate, and what has become of it. */
class Guest {
  turn: Turn | undefined
  ended: GivenUpReason | undefined
  readonly abort = new AbortController()

  constructor(gate: RetryGate, deadline: Deadline = noDeadline, onTurn: (guest: Guest) => void = () => undefined) {
    void gate.enter(deadline.isNone ? Deadline.ofSignal(this.abort.signal) : deadline).then((entered) => {
      if (entered.kind === 'turn') {
        this.turn = entered
        onTurn(this)
      } else this.ended = entered
    })
  }
}

async function guests(gate: RetryGate, count: number): Promise<Guest[]> {
  const all = Array.from({ length: count }, () => new Guest(gate))
  await settle()
  return all
}

async function end(guest: Guest | undefined, outcome: TurnOutcome): Promise<void> {
  if (guest?.turn === undefined) throw new Error('it has no turn')
  guest.turn.left(outcome)
  await settle()
}

/** So often as many as may run, and one more, come together, and all of them succeed. */
async function succeedInARow(gate: RetryGate, times: number): Promise<void> {
  for (let one = 0; one < times; one++) {
    const all = await guests(gate, gate.stats().width + 1)
    for (const guest of all) await end(guest, 'succeeded')
  }
}

describe('the gate of retries', () => {
  test('lets the first in at once, and the others one after the other, first come, first served', async () => {
    const gate = new RetryGate(new FakeClock(), () => 1)
    const all = await guests(gate, 4)
    for (const [at, guest] of all.entries()) {
      expect(all.map(({ turn }) => turn !== undefined)).toEqual(all.map((_, other) => other <= at))
      expect(gate.stats()).toEqual({ width: 1, running: 1, waiting: 3 - at })
      await end(guest, 'succeeded')
    }
    expect(gate.stats()).toEqual({ width: 1, running: 0, waiting: 0 })
  })

  test('widens by one with each success until the first conflict, and slowly after it', async () => {
    const gate = new RetryGate(new FakeClock(), () => 100)
    const waiting = await guests(gate, 60)
    const widths: number[] = []
    for (const guest of waiting.slice(0, 7)) {
      widths.push(gate.stats().width)
      await end(guest, 'succeeded')
    }
    expect(widths).toEqual([1, 2, 3, 4, 5, 6, 7])
    await end(waiting[7], 'conflict')
    expect(gate.stats().width).toBe(4)
    let successes = 0
    for (const guest of waiting.slice(8)) {
      if (gate.stats().width > 4) break
      await end(guest, 'succeeded')
      successes += 1
    }
    // Two for each of the four that may run, give or take what is gained on the way.
    expect(successes).toBeGreaterThanOrEqual(8)
    expect(successes).toBeLessThanOrEqual(9)
  })

  test('halves with each conflict, down to one, and never closes', async () => {
    const gate = new RetryGate(new FakeClock(), () => 100)
    const all = await guests(gate, 40)
    for (const guest of all.slice(0, 7)) await end(guest, 'succeeded')
    const widths: number[] = []
    for (const guest of all.slice(7, 12)) {
      await end(guest, 'conflict')
      widths.push(gate.stats().width)
    }
    expect(widths).toEqual([4, 2, 1, 1, 1])
    for (const guest of all.slice(12)) await end(guest, 'conflict')
    expect(gate.stats()).toEqual({ width: 1, running: 0, waiting: 0 })
  })

  test('does not widen by retries that nobody would have had to wait for', async () => {
    const gate = new RetryGate(new FakeClock(), () => 100)
    await succeedInARow(gate, 1)
    const { width } = gate.stats()
    expect(width).toBeGreaterThan(1)
    for (let one = 0; one < 20; one++) {
      const [guest] = await guests(gate, 1)
      await end(guest, 'succeeded')
    }
    expect(gate.stats().width).toBe(width)
  })

  test('is never wider than its bound, also when that has become smaller', async () => {
    let widest = 5
    const gate = new RetryGate(new FakeClock(), () => widest)
    const all = await guests(gate, 50)
    for (const guest of all.slice(0, 20)) await end(guest, 'succeeded')
    expect(gate.stats()).toMatchObject({ width: 5, running: 5 })
    widest = 2
    expect(gate.stats()).toMatchObject({ width: 2, running: 5 })
    for (const guest of all.slice(20, 24)) await end(guest, 'succeeded')
    expect(gate.stats()).toMatchObject({ width: 2, running: 2 })
    widest = 0
    for (const guest of all.slice(24)) await end(guest, 'other')
    expect(gate.stats()).toEqual({ width: 1, running: 0, waiting: 0 })
  })

  test('a bound that has grown lets in those who wait, before those who come', async () => {
    let widest = 4
    const gate = new RetryGate(new FakeClock(), () => widest)
    const all = await guests(gate, 12)
    for (const guest of all.slice(0, 4)) await end(guest, 'succeeded')
    widest = 1
    for (const guest of all.slice(4, 7)) await end(guest, 'other')
    expect(gate.stats()).toEqual({ width: 1, running: 1, waiting: 4 })
    widest = 4
    const [late] = await guests(gate, 1)
    expect(gate.stats()).toEqual({ width: 4, running: 4, waiting: 2 })
    expect(all.map(({ turn }) => turn !== undefined)).toEqual(all.map((_, at) => at < 11))
    expect(late?.turn).toBeUndefined()
  })

  test('falls back after a second in which nobody ran, and not before', async () => {
    const clock = new FakeClock()
    const gate = new RetryGate(clock, () => 100)
    await succeedInARow(gate, 3)
    const wide = gate.stats().width
    expect(wide).toBeGreaterThan(3)
    await clock.advance(999)
    await end((await guests(gate, 1))[0], 'other')
    expect(gate.stats().width).toBe(wide)
    await clock.advance(1_000)
    const [first, second] = await guests(gate, 2)
    expect([first?.turn !== undefined, second?.turn !== undefined]).toEqual([true, false])
    // What it has learned of conflicts is forgotten as well: it widens quickly again.
    await end(first, 'conflict')
    await end(second, 'other')
    await clock.advance(1_000)
    await succeedInARow(gate, 3)
    expect(gate.stats().width).toBe(wide)
    expect(clock.timers).toBe(0)
  })

  test('a wait ends with its deadline or its signal, and leaves nothing behind', async () => {
    const clock = new FakeClock()
    const gate = new RetryGate(clock, () => 1)
    const [running, aborted, last] = await guests(gate, 3)
    const late = new Guest(gate, Deadline.after(20, clock))
    const over = new Guest(gate, Deadline.after(0, clock))
    const afterAbort = new Guest(gate, Deadline.ofSignal(AbortSignal.abort('why')))
    await settle()
    expect(over.ended).toEqual({ kind: 'timeout', timeoutMs: 0 })
    expect(afterAbort.ended).toEqual({ kind: 'aborted', reason: 'why' })
    expect(gate.stats().waiting).toBe(3)
    aborted?.abort.abort('enough')
    await clock.advance(20)
    expect(aborted?.ended).toEqual({ kind: 'aborted', reason: 'enough' })
    expect(late.ended).toEqual({ kind: 'timeout', timeoutMs: 20 })
    expect(gate.stats()).toEqual({ width: 1, running: 1, waiting: 1 })
    await end(running, 'succeeded')
    await end(last, 'succeeded')
    expect([aborted?.turn, late.turn]).toEqual([undefined, undefined])
    expect(gate.stats()).toEqual({ width: 1, running: 0, waiting: 0 })
    expect(clock.timers).toBe(0)
  })

  test.each([FakeClock, EarlyClock])(
    'a turn that lasts much longer than usual no longer counts, on a %o',
    async (Kind) => {
      const clock = new Kind()
      const gate = new RetryGate(clock, () => 1)
      const [stuck, next, last] = await guests(gate, 3)
      await clock.advance(99)
      expect(next?.turn).toBeUndefined()
      await clock.advance(3)
      expect(next?.turn).toBeDefined()
      expect(gate.stats()).toEqual({ width: 1, running: 1, waiting: 1 })
      // When it ends at last, it gives nobody a second place.
      await end(stuck, 'other')
      expect(last?.turn).toBeUndefined()
      await end(next, 'succeeded')
      await end(last, 'succeeded')
      expect(gate.stats()).toEqual({ width: 1, running: 0, waiting: 0 })
      expect(clock.timers).toBe(0)
    },
  )

  test('what is usual is learned: long work is waited for, up to two seconds', async () => {
    const clock = new FakeClock()
    const gate = new RetryGate(clock, () => 1)
    const [long] = await guests(gate, 1)
    await clock.advance(300)
    await end(long, 'succeeded')
    const [, patient] = await guests(gate, 2)
    await clock.advance(1_000)
    expect(patient?.turn).toBeUndefined()
    await clock.advance(200)
    expect(patient?.turn).toBeDefined()
    const slow = new RetryGate(clock, () => 1)
    const [endless] = await guests(slow, 1)
    await clock.advance(60_000)
    await end(endless, 'succeeded')
    const [, next] = await guests(slow, 2)
    await clock.advance(1_999)
    expect(next?.turn).toBeUndefined()
    await clock.advance(1)
    expect(next?.turn).toBeDefined()
  })

  test('where no turn ends, all who wait are in soon; where they end again, each has its time again', async () => {
    const clock = new FakeClock()
    const gate = new RetryGate(clock, () => 1)
    const all = await guests(gate, 101)
    await clock.advance(100 + 50 + 25 + 13 + 7 + 4 + 2 + 95)
    expect(all.filter(({ turn }) => turn === undefined)).toEqual([])
    expect(gate.stats()).toEqual({ width: 1, running: 1, waiting: 0 })
    for (const guest of all) await end(guest, 'other')
    const [, next] = await guests(gate, 2)
    await clock.advance(99)
    expect(next?.turn).toBeUndefined()
    await clock.advance(1)
    expect(next?.turn).toBeDefined()
  })

  test('a turn ends once', async () => {
    const [guest] = await guests(new RetryGate(new FakeClock(), () => 1), 1)
    await end(guest, 'other')
    expect(() => guest?.turn?.left('other')).toThrow('bug: a turn was ended twice')
  })
})

type Step =
  | { readonly kind: 'enter'; readonly deadlineMs: number | undefined }
  | { readonly kind: 'leave'; readonly which: number; readonly outcome: TurnOutcome }
  | { readonly kind: 'give up'; readonly which: number }
  | { readonly kind: 'time'; readonly ms: number }
  | { readonly kind: 'resize'; readonly widest: number }

const outcome = fc.constantFrom<TurnOutcome>('succeeded', 'succeeded', 'conflict', 'other')
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('enter' as const),
      deadlineMs: fc.option(fc.integer({ min: 0, max: 200 }), { nil: undefined }),
    }),
  },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('leave' as const), which: fc.nat(), outcome }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('give up' as const), which: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('time' as const), ms: fc.integer({ min: 0, max: 1_500 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('resize' as const), widest: fc.integer({ min: 0, max: 12 }) }),
  },
)

/** Who should run and who should wait, kept beside the gate with plain lists. */
class Model {
  readonly running: { readonly id: number; readonly since: number }[] = []
  readonly waiting: { readonly id: number; readonly until: number }[] = []
  width = 1
  widest = 12
  #growth: 'quick' | { readonly from: number } = 'quick'
  #usualMs = 25
  #stalls = 0
  #idleSince = Number.NEGATIVE_INFINITY

  get places(): number {
    return Math.max(1, Math.floor(Math.min(this.width, this.widest)))
  }

  get leaseMs(): number {
    return Math.max(50, 4 * this.#usualMs) / 2 ** Math.min(12, this.#stalls)
  }

  enter(id: number, now: number, until: number): void {
    if (this.running.length + this.waiting.length === 0 && now - this.#idleSince >= 1_000) {
      this.width = 1
      this.#growth = 'quick'
    }
    this.waiting.push({ id, until })
    this.#serve(now)
  }

  leave(id: number, since: number, now: number, outcome: TurnOutcome): void {
    const wasFull = this.running.length >= this.places
    const at = this.running.findIndex((one) => one.id === id)
    if (at !== -1) this.running.splice(at, 1)
    if (outcome === 'conflict') {
      this.width = Math.max(1, this.width / 2)
      this.#growth = { from: this.width }
    }
    if (outcome === 'succeeded') {
      const tookMs = Math.min(500, now - since)
      if (tookMs > this.#usualMs) this.#usualMs = tookMs
      else this.#usualMs += (tookMs - this.#usualMs) / 8
      if (at !== -1 && wasFull) {
        const slow = this.#growth !== 'quick' && this.width >= this.#growth.from
        this.width = Math.max(1, Math.min(this.widest, this.width + (slow ? 0.5 / this.width : 1)))
      }
    }
    this.#stalls = 0
    this.#idleSince = now
    this.#serve(now)
  }

  giveUp(id: number): void {
    const at = this.waiting.findIndex((one) => one.id === id)
    if (at !== -1) this.waiting.splice(at, 1)
  }

  /** It is `now`, a millisecond after the last time. */
  passed(now: number): void {
    for (const { id, until } of [...this.waiting]) if (until <= now) this.giveUp(id)
    if (this.waiting.length === 0) return
    const overdue = this.running.filter(({ since }) => now - since >= this.leaseMs)
    this.running.splice(0, overdue.length)
    this.#stalls += overdue.length
    this.#serve(now)
  }

  #serve(now: number): void {
    while (this.waiting.length > 0 && this.running.length < this.places) {
      const first = this.waiting.shift()
      if (first !== undefined) this.running.push({ id: first.id, since: now })
    }
  }
}

describe('the gate of retries, beside a model', () => {
  test(
    'nobody runs beyond the width, each has its turn in the order of arrival, who gives up leaves nothing',
    async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
          const clock = new FakeClock()
          const model = new Model()
          const gate = new RetryGate(clock, () => model.widest)
          const all: Guest[] = []
          const since = new Map<number, number>()
          const begun: number[] = []
          const left = new Set<number>()
          const enter = (deadlineMs?: number): void => {
            const id = all.length
            // Between two milliseconds, so that it is always said what comes first.
            const timeoutMs = deadlineMs === undefined ? Number.POSITIVE_INFINITY : deadlineMs + 0.5
            const until = clock.now() + timeoutMs
            const deadline = deadlineMs === undefined ? noDeadline : Deadline.after(timeoutMs, clock)
            all.push(
              new Guest(gate, deadline, () => {
                since.set(id, clock.now())
                begun.push(id)
                expect(gate.stats().running).toBeLessThanOrEqual(gate.stats().width)
              }),
            )
            model.enter(id, clock.now(), until)
          }
          const leave = (id: number, how: TurnOutcome): void => {
            left.add(id)
            all[id]?.turn?.left(how)
            model.leave(id, since.get(id) ?? 0, clock.now(), how)
          }
          const inside = (): number[] => begun.filter((id) => !left.has(id))
          /** Without time passing the model says exactly who runs and who waits. */
          const check = (): void => {
            expect(gate.stats()).toEqual({
              width: model.places,
              running: model.running.length,
              waiting: model.waiting.length,
            })
            for (const { id } of model.running) expect(all[id]?.turn).toBeDefined()
            for (const { id } of model.waiting) expect([all[id]?.turn, all[id]?.ended]).toEqual([undefined, undefined])
          }
          for (const one of steps) {
            if (one.kind === 'enter') enter(one.deadlineMs)
            else if (one.kind === 'resize') model.widest = one.widest
            else if (one.kind === 'leave') {
              const candidates = inside()
              const id = candidates[one.which % candidates.length]
              if (id !== undefined) leave(id, one.outcome)
            } else if (one.kind === 'give up') {
              const candidates = model.waiting.filter(({ until }) => until === Number.POSITIVE_INFINITY)
              const id = candidates[one.which % candidates.length]?.id
              if (id !== undefined) {
                model.giveUp(id)
                all[id]?.abort.abort('enough')
              }
            } else await pass(clock, model, one.ms)
            await settle()
            check()
          }
          // Everybody who has not given up gets a turn, once, and in the order in which they came.
          for (let [id] = inside(); id !== undefined; [id] = inside()) {
            leave(id, 'other')
            await settle()
            check()
          }
          expect(gate.stats()).toMatchObject({ running: 0, waiting: 0 })
          expect(begun).toEqual([...new Set(begun)].sort((one, other) => one - other))
          for (const guest of all) expect((guest.turn === undefined) !== (guest.ended === undefined)).toBe(true)
          expect(clock.timers).toBe(0)
        }),
        seeded(300),
      )
    },
    longEnough(30_000),
  )

  test('a thousand who fight for one row all get through, with one conflict in a few successes', async () => {
    const { attempts } = await fight({ callers: 1_000, rows: 1, workMs: 3, widest: 10 })
    expect(attempts).toBeLessThan(1_000 * 1.5)
  })

  test('who fights for rows of its own runs side by side', async () => {
    const { attempts, tookMs } = await fight({ callers: 1_000, rows: 1_000_000, workMs: 3, widest: 10 })
    expect(attempts).toBeLessThan(1_010)
    expect(tookMs).toBeLessThan((1_000 / 10) * 3 * 1.2)
  })

  test('with a few hot rows it is nearly as wide as there are rows', async () => {
    const one = await fight({ callers: 1_000, rows: 1, workMs: 3, widest: 10 })
    const five = await fight({ callers: 1_000, rows: 5, workMs: 3, widest: 10 })
    expect(five.attempts).toBeLessThan(1_000 * 1.6)
    expect(five.tookMs).toBeLessThan(one.tookMs * 0.75)
  })
})

/** Time passes for both, one millisecond after the other: a turn that has had its time makes room, a wait ends. */
async function pass(clock: FakeClock, model: Model, ms: number): Promise<void> {
  for (let one = 0; one < ms; one++) {
    await clock.advance(1)
    model.passed(clock.now())
  }
}

/** Retries of work on one of so many rows each: whoever began before the last commit of its row is undone. */
async function fight(how: {
  readonly callers: number
  readonly rows: number
  readonly workMs: number
  readonly widest: number
}): Promise<{ readonly attempts: number; readonly tookMs: number }> {
  const clock = new FakeClock()
  const gate = new RetryGate(clock, () => how.widest)
  const random = randomFrom(7)
  const committedAt = new Map<number, number>()
  let commits = 0
  let attempts = 0
  let done = 0
  const start = clock.now()
  const work = async (row: number): Promise<void> => {
    for (;;) {
      const turn = await gate.enter(noDeadline)
      if (turn.kind !== 'turn') throw new Error('there is no deadline')
      attempts += 1
      const began = commits
      await new Promise<void>((resolve) => clock.setTimer(how.workMs * (0.8 + 0.4 * random()), resolve))
      if ((committedAt.get(row) ?? -1) < began) {
        committedAt.set(row, commits++)
        turn.left('succeeded')
        done += 1
        return
      }
      turn.left('conflict')
    }
  }
  const all = Array.from({ length: how.callers }, () => work(Math.floor(random() * how.rows)))
  while (done < how.callers) await clock.advance(1)
  await Promise.all(all)
  expect(clock.timers).toBe(0)
  return { attempts, tookMs: clock.now() - start }
}
