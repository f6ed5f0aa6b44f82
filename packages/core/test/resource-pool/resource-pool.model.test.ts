import fc from 'fast-check'
import { expect, test } from 'vitest'
import { OverloadedError } from '../../src/errors/pool-errors.js'
import type { EvictMode } from '../../src/resource-pool/lifecycle.js'
import type { ResolvedPoolLimits } from '../../src/resource-pool/limits.js'
import type { WorkContext } from '../../src/resource-pool/wait-queue.js'
import { HopelessError } from '../support/fake-factory.js'
import { type Caller, type FakeSlot, PoolBench } from '../support/new-pool.js'
import { longEnough, randomFrom, seeded } from '../support/seeded.js'

/** What may happen to a pool. `pick` chooses among whatever there is to choose from at that moment. */
type Step =
  | { readonly do: 'acquire'; readonly timeoutMs: number | undefined; readonly holder: boolean }
  | { readonly do: 'try' | 'pause' | 'resume' | 'end' | 'cancelEnd' }
  | { readonly do: 'flush'; readonly flush: EvictMode }
  | { readonly do: 'resize'; readonly max: number; readonly min: number }
  | { readonly do: 'abort' | 'release' | 'destroy' | 'close'; readonly pick: number }
  | { readonly do: 'kill'; readonly pick: number; readonly told: boolean }
  | { readonly do: 'open'; readonly pick: number; readonly result: 'well' | 'refused' | 'hopeless' }
  | { readonly do: 'check'; readonly pick: number; readonly alive: boolean }
  | { readonly do: 'mode'; readonly what: 'open_' | 'close_' | 'check_'; readonly mode: 'auto' | 'manual' }
  | { readonly do: 'server'; readonly up: boolean }
  | { readonly do: 'wait'; readonly ms: number }

const pick = fc.nat({ max: 1_000 })
const pause = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: 0, max: 150 }) },
  { weight: 1, arbitrary: fc.integer({ min: 500, max: 3_000 }) },
)
const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant('acquire' as const),
      timeoutMs: fc.option(fc.integer({ min: 0, max: 800 }), { nil: undefined }),
      holder: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ do: 'try' } as const) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('flush' as const),
      flush: fc.constantFrom('idle', 'graceful', 'all'),
    }),
  },
  { weight: 1, arbitrary: fc.constantFrom({ do: 'pause' } as const, { do: 'end' } as const) },
  { weight: 3, arbitrary: fc.constantFrom({ do: 'resume' } as const, { do: 'cancelEnd' } as const) },
  {
    weight: 1,
    arbitrary: fc
      .record({ do: fc.constant('resize' as const), max: fc.integer({ min: 1, max: 6 }), min: fc.nat({ max: 6 }) })
      .map((step) => ({ ...step, min: Math.min(step.min, step.max) })),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('abort' as const), pick }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('release' as const), pick }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('destroy' as const), pick }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('close' as const), pick }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('kill' as const), pick, told: fc.boolean() }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('open' as const),
      pick,
      result: fc.constantFrom('well', 'well', 'well', 'refused', 'hopeless'),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('check' as const), pick, alive: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('mode' as const),
      what: fc.constantFrom('open_', 'close_', 'check_'),
      mode: fc.constantFrom('auto', 'manual'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('server' as const), up: fc.boolean() }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: pause }) },
)

const limits: fc.Arbitrary<ResolvedPoolLimits> = fc
  .record({
    max: fc.integer({ min: 1, max: 6 }),
    min: fc.integer({ min: 0, max: 6 }),
    maxWaiting: fc.constantFrom(Number.POSITIVE_INFINITY, 0, 1, 3),
    acquireTimeoutMs: fc.constantFrom(100, 500, 2_000),
    idleTimeoutMs: fc.constantFrom(0, 2_000, Number.POSITIVE_INFINITY),
    maxLifetimeMs: fc.constantFrom(1_000, 10_000, Number.POSITIVE_INFINITY),
    maxUses: fc.constantFrom(0, 1, 3),
    validateAfterIdleMs: fc.constantFrom(0, 50, 500, Number.POSITIVE_INFINITY),
    leakDetectionMs: fc.constantFrom(0, 100),
    overload: fc.constantFrom(false as const, { targetMs: 20, intervalMs: 100 }, { targetMs: 50, intervalMs: 2_000 }),
  })
  .map((drawn) => ({ ...drawn, min: Math.min(drawn.min, drawn.max) }))

interface Asked {
  readonly caller: Caller
  readonly controller: AbortController
  readonly deadlineAt: number
  readonly askedAt: number
  readonly holder: WorkContext | undefined
  seen: boolean
}

/** A promise that the pool has given, and what became of it. */
interface Promised {
  readonly what: string
  settled: 'no' | 'done' | 'rejected'
}

/** The pool, and beside it the little that a bystander knows for certain. */
class Model {
  readonly bench: PoolBench
  readonly #limits: ResolvedPoolLimits
  readonly #promised: Promised[] = []
  #max: number
  #places = 0
  #isPaused = false
  #isEnding = false
  readonly #asked: Asked[] = []
  readonly #holding: { readonly slot: FakeSlot; readonly holder: WorkContext | undefined }[] = []
  readonly #uses = new Map<number, number>()
  readonly #bornAt = new Map<number, number>()
  /** Resources up to this one were opened before the last eviction. */
  #evictedUpTo = 0

  constructor(drawn: ResolvedPoolLimits, seed: number) {
    this.#limits = drawn
    this.#max = drawn.max
    this.bench = new PoolBench(drawn, undefined, randomFrom(seed))
  }

  get waiting(): Asked[] {
    return this.#asked.filter(({ caller }) => caller.outcome === 'waiting')
  }

  async step(step: Step): Promise<void> {
    this.#act(step)
    await this.bench.clock.advance(step.do === 'wait' ? step.ms : 0)
    this.#notice()
    this.#check()
  }

  #act(step: Step): void {
    const { pool, factory, clock } = this.bench
    switch (step.do) {
      case 'acquire': {
        const controller = new AbortController()
        const holder = step.holder ? (this.#holding[0]?.holder ?? { held: 0 }) : undefined
        const { timeoutMs } = step
        const deadlineAt = clock.now() + Math.min(timeoutMs ?? Number.POSITIVE_INFINITY, this.#limits.acquireTimeoutMs)
        const caller = this.bench.ask({
          signal: controller.signal,
          ...(timeoutMs === undefined ? {} : { timeoutMs }),
          ...(holder === undefined ? {} : { holder }),
        })
        this.#asked.push({ caller, controller, deadlineAt, askedAt: clock.now(), holder, seen: false })
        break
      }
      case 'try': {
        const slot = pool.tryAcquire()
        if (slot === undefined) break
        expect([this.waiting.length, this.#isPaused, this.#isEnding]).toEqual([0, false, false])
        this.#took(slot, undefined)
        break
      }
      case 'abort':
        this.#some(this.waiting, step.pick)?.controller.abort('enough')
        break
      case 'release':
      case 'destroy': {
        const one = this.#some(this.#holding, step.pick)
        if (one !== undefined) this.#giveBack(one, step.do)
        break
      }
      case 'kill': {
        const resource = this.#some(
          factory.all.filter(({ gone, alive }) => !gone && alive),
          step.pick,
        )
        if (resource === undefined) break
        resource.alive = false
        if (step.told) pool.lost(resource)
        break
      }
      case 'open': {
        const ask = this.#some(factory.opens, step.pick)
        if (step.result === 'well') ask?.answer()
        else ask?.fail(step.result === 'hopeless' ? new HopelessError('no such user') : new Error('ECONNREFUSED'))
        break
      }
      case 'close':
        this.#some(factory.closes, step.pick)?.answer()
        break
      case 'check': {
        const ask = this.#some(factory.checks, step.pick)
        ask?.answer(step.alive && ask.resource?.alive === true)
        break
      }
      case 'mode':
        factory[step.what] = step.mode
        break
      case 'server':
        factory.failWith = step.up ? undefined : new Error('ECONNREFUSED')
        break
      case 'flush':
        if (step.flush !== 'idle') this.#evictedUpTo = factory.all.length
        if (step.flush === 'all') this.#loseAll()
        this.#promise(`flush ${step.flush}`, pool.evict(step.flush))
        break
      case 'pause':
        this.#promise('pause', pool.pause())
        if (!this.#isEnding) this.#isPaused = true
        break
      case 'resume':
        this.#isPaused = false
        pool.resume()
        break
      case 'resize':
        this.#max = step.max
        pool.resize(step)
        break
      case 'end':
        this.#isPaused = false
        this.#isEnding = true
        this.#promise('end', pool.end())
        break
      case 'cancelEnd': {
        const mayBe = this.#isEnding && pool.total + pool.connecting + pool.waiting > 0
        expect(pool.cancelEnd()).toBe(mayBe)
        if (mayBe) this.#isEnding = false
        break
      }
      case 'wait':
        break
    }
  }

  #some<T>(list: readonly T[], at: number): T | undefined {
    return list[at % Math.max(1, list.length)]
  }

  #giveBack(
    one: { readonly slot: FakeSlot; readonly holder: WorkContext | undefined },
    how: 'release' | 'destroy',
  ): void {
    this.#holding.splice(this.#holding.indexOf(one), 1)
    if (one.holder !== undefined) one.holder.held -= 1
    this.bench.pool[how](one.slot)
  }

  #promise(what: string, promise: Promise<void>): void {
    const promised: Promised = { what, settled: 'no' }
    this.#promised.push(promised)
    promise.then(
      () => {
        promised.settled = 'done'
      },
      () => {
        promised.settled = 'rejected'
      },
    )
  }

  /** The pool has taken away what is in use; the work on it is over. */
  #loseAll(): void {
    for (const { holder } of this.#holding.splice(0)) if (holder !== undefined) holder.held -= 1
  }

  #took(slot: FakeSlot, holder: WorkContext | undefined): void {
    const { resource } = slot
    const { maxUses, maxLifetimeMs } = this.#limits
    expect(resource.alive).toBe(true)
    expect(this.#holding.map((one) => one.slot)).not.toContain(slot)
    expect(resource.id).toBeGreaterThan(this.#evictedUpTo)
    const uses = (this.#uses.get(resource.id) ?? 0) + 1
    this.#uses.set(resource.id, uses)
    if (maxUses > 0) expect(uses).toBeLessThanOrEqual(maxUses)
    const bornAt = this.#bornAt.get(resource.id)
    if (bornAt !== undefined) expect(slot.busySince - bornAt).toBeLessThanOrEqual(maxLifetimeMs * 1.1)
    if (holder !== undefined) holder.held += 1
    this.#holding.push({ slot, holder })
  }

  #notice(): void {
    for (const { id } of this.bench.factory.all) {
      if (!this.#bornAt.has(id)) this.#bornAt.set(id, this.bench.clock.now())
    }
    for (const [index, asked] of this.#asked.entries()) {
      if (asked.seen || asked.caller.outcome === 'waiting') continue
      asked.seen = true
      if (asked.caller.error instanceof OverloadedError) this.#checkShed(asked)
      if (asked.caller.slot === undefined) continue
      // First come, first served: nobody who came before still waits. In a pause only work that holds one counts.
      const counts = ({ holder }: Asked): boolean => !this.#isPaused || (holder?.held ?? 0) > 0
      expect(counts(asked)).toBe(true)
      const before = this.#asked.slice(0, index).filter((one) => one.caller.outcome === 'waiting' && counts(one))
      expect(before).toEqual([])
      this.#took(asked.caller.slot, asked.holder)
    }
  }

  #checkShed({ askedAt, holder }: Asked): void {
    const { overload } = this.#limits
    if (overload === false) throw new Error('turned away although that is off')
    expect(this.bench.clock.now() - askedAt).toBeGreaterThan(2 * overload.targetMs)
    expect(holder?.held ?? 0).toBe(0)
  }

  #check(): void {
    const { pool, factory, clock } = this.bench
    const { counts } = pool
    const { waiting } = this
    const checking = factory.checks.filter(({ resource }) => resource?.destroyed === 0).length
    const places = pool.total + pool.connecting
    expect(places).toBeLessThanOrEqual(Math.max(this.#max, this.#places))
    this.#places = places
    if (places - factory.closes.length > this.#max) expect(pool.idle).toBe(0)
    expect(factory.alive).toBe(pool.total)
    expect(pool.active).toBe(this.#holding.length)
    expect(pool.active + pool.idle + checking + factory.closes.length).toBe(pool.total)
    expect(pool.connecting).toBe(factory.opens.length)
    expect(pool.waiting).toBe(waiting.length)
    expect(counts.opened).toBe(factory.all.length)
    expect(counts.opened - counts.closed).toBe(pool.total)
    expect(counts.opened + counts.connectFailed + pool.connecting).toBe(factory.attempts)
    expect(counts.acquired - counts.released).toBe(pool.active)
    expect(counts.leaks).toBe(factory.leaks.filter(({ returned }) => !returned).length)
    for (const { caller } of this.#asked) expect(caller.settled).toBe(caller.outcome === 'waiting' ? 0 : 1)
    for (const { deadlineAt } of waiting) expect(clock.now()).toBeLessThan(deadlineAt)
    // Nobody waits beside an idle connection that is not being checked for somebody.
    if (waiting.length > checking && !this.#isPaused) expect(pool.idle).toBe(0)
    if (this.#isPaused && pool.active + checking === 0) {
      expect(this.#promised.filter((one) => one.what === 'pause' && one.settled === 'no')).toEqual([])
    }
  }

  /** Everything is well again: each caller gets an answer, everything is closed, and no timer is left. */
  async end(how: 'graceful' | 'now'): Promise<void> {
    const { pool, factory, clock } = this.bench
    if (how === 'now') {
      pool.endNow()
      this.#loseAll()
    }
    let ended = false
    const end = pool.end().then(() => {
      ended = true
    })
    factory.failWith = undefined
    factory.open_ = factory.close_ = factory.check_ = 'auto'
    this.#isPaused = false
    for (;;) {
      for (const open of [...factory.opens]) open.answer()
      for (const close of [...factory.closes]) close.answer()
      for (const check of [...factory.checks]) check.answer(check.resource?.alive === true)
      await clock.advance(7_000)
      this.#notice()
      const one = this.#holding[0]
      if (one === undefined) break
      this.#giveBack(one, 'release')
    }
    await clock.advance(7_000)
    expect(ended).toBe(true)
    await end
    for (const { caller } of this.#asked) expect(caller.settled).toBe(1)
    expect(factory.alive).toBe(0)
    expect(pool).toMatchObject({ total: 0, active: 0, idle: 0, connecting: 0, waiting: 0 })
    expect(pool.counts.acquired).toBe(pool.counts.released)
    expect(pool.counts.opened).toBe(pool.counts.closed)
    expect(clock.timers).toBe(0)
    expect(this.#promised.filter(({ settled }) => settled === 'no')).toEqual([])
  }
}

test('whatever happens to a pool, its promises hold after every step and it can be ended', {
  timeout: longEnough(60_000),
}, async () => {
  await fc.assert(
    fc.asyncProperty(
      limits,
      fc.integer(),
      fc.array(steps, { minLength: 20, maxLength: 250, size: 'max' }),
      fc.constantFrom('graceful' as const, 'now' as const),
      async (drawn, seed, list, how) => {
        const model = new Model(drawn, seed)
        for (const step of list) await model.step(step)
        await model.end(how)
      },
    ),
    seeded(150),
  )
})
