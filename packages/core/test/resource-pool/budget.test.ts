import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { noDeadline } from '../../src/deadline/deadline.js'
import { Budget, type BudgetOptions } from '../../src/resource-pool/budget.js'
import type { ResolvedPoolLimits } from '../../src/resource-pool/limits.js'
import { FakeClock } from '../support/fake-clock.js'
import { type Caller, held, PoolBench } from '../support/new-pool.js'
import { longEnough, seeded } from '../support/seeded.js'

interface PoolConfig {
  readonly limits: Partial<ResolvedPoolLimits>
  readonly database: string
  readonly user: string
}

/** Pools over fakes that share a budget and a clock. */
class BudgetBench {
  readonly clock = new FakeClock()
  readonly budget: Budget
  readonly pools: PoolBench[]
  readonly #configs: readonly PoolConfig[]
  readonly #options: BudgetOptions

  constructor(options: BudgetOptions, configs: readonly PoolConfig[]) {
    this.#options = options
    this.#configs = configs
    this.budget = new Budget(options)
    this.pools = configs.map(({ limits, database, user }) => {
      const share = { budget: this.budget, database, user }
      const always = { validateAfterIdleMs: Number.POSITIVE_INFINITY, overload: false } as const
      return new PoolBench({ ...always, ...limits }, undefined, () => 0.5, this.clock, share)
    })
  }

  /** What all of these have, on the server and on the way there. */
  used(of: (config: PoolConfig) => boolean = () => true): number {
    let used = 0
    for (const [index, { pool, factory }] of this.pools.entries()) {
      const config = this.#configs[index]
      if (config !== undefined && of(config)) used += factory.alive + pool.connecting
    }
    return used
  }

  check(): void {
    const { max, perDatabase = max, perUser = max } = this.#options
    expect(this.used()).toBe(this.budget.taken)
    expect(this.used()).toBeLessThanOrEqual(max)
    for (const { database, user } of this.#configs) {
      expect(this.used((one) => one.database === database)).toBeLessThanOrEqual(perDatabase)
      expect(this.used((one) => one.user === user)).toBeLessThanOrEqual(perUser)
    }
  }
}

const same = { database: 'shop', user: 'app' } as const

describe('a pool that needs a place when none is free', () => {
  test('gets that of the longest idle connection of another', async () => {
    const bench = new BudgetBench({ max: 3 }, [
      { ...same, limits: {} },
      { ...same, limits: {} },
      { ...same, limits: {} },
    ])
    const [a, b, c] = bench.pools
    if (a === undefined || b === undefined || c === undefined) throw new Error('bug')
    const slots = await a.takeAll(2)
    const other = await b.take()
    b.pool.release(other)
    await bench.clock.advance(10)
    for (const slot of slots) a.pool.release(slot)
    await bench.clock.advance(10)
    expect((await c.take()).resource.id).toBe(1)
    expect([a, b, c].map(({ pool }) => pool.total)).toEqual([2, 0, 1])
  })

  test('takes nothing from the min of another, and waits', async () => {
    const bench = new BudgetBench({ max: 2 }, [
      { ...same, limits: { min: 2 } },
      { ...same, limits: { acquireTimeoutMs: 1_000 } },
    ])
    const [a, b] = bench.pools
    await bench.clock.advance(0)
    const caller = b?.ask()
    await bench.clock.advance(999)
    expect([a?.pool.idle, caller?.outcome]).toEqual([2, 'waiting'])
    a?.pool.resize({ min: 1 })
    await bench.clock.advance(0)
    expect([a?.pool.idle, caller?.outcome]).toEqual([1, 'served'])
  })

  test('gets what comes back to a pool that has more, whose callers wait as well: equal shares', async () => {
    const bench = new BudgetBench({ max: 6 }, [
      { ...same, limits: { max: 6 } },
      { ...same, limits: { max: 6 } },
    ])
    const [a, b] = bench.pools
    if (a === undefined || b === undefined) throw new Error('bug')
    const holding = (await a.takeAll(6)).map((slot) => ({ of: a, slot }))
    const ask = (of: PoolBench): void => {
      void of.pool.acquire(noDeadline).then((slot) => {
        holding.push({ of, slot })
      })
    }
    for (let more = 0; more < 40; more++) for (const of of [a, b]) ask(of)
    for (let turn = 0; turn < 12; turn++) {
      const one = holding.shift()
      one?.of.pool.release(one.slot)
      await bench.clock.advance(1)
      bench.check()
    }
    expect([a.pool.active, b.pool.active]).toEqual([3, 3])
  })

  test('has its turn also when there are more pools than places', async () => {
    const bench = new BudgetBench({ max: 1 }, [
      { ...same, limits: { acquireTimeoutMs: Number.POSITIVE_INFINITY } },
      { ...same, limits: { acquireTimeoutMs: Number.POSITIVE_INFINITY } },
      { ...same, limits: { acquireTimeoutMs: Number.POSITIVE_INFINITY } },
    ])
    const served = [0, 0, 0]
    const callers = bench.pools.flatMap((of, index) =>
      Array.from({ length: 60 }, () => ({ of, index, caller: of.ask() })),
    )
    for (let turn = 0; turn < 120; turn++) {
      await bench.clock.advance(1)
      bench.check()
      const at = callers.findIndex(({ caller }) => caller.outcome === 'served')
      const [one] = callers.splice(at, 1)
      if (one === undefined) throw new Error('nobody is served')
      served[one.index] = (served[one.index] ?? 0) + 1
      one.of.pool.release(held(one.caller))
    }
    expect(Math.min(...served)).toBeGreaterThan(20)
  })

  test('has one made under each of two bounds that are spent, that of its database and that of its user', async () => {
    const bench = new BudgetBench({ max: 9, perDatabase: 2, perUser: 2 }, [
      { database: 'shop', user: 'app', limits: {} },
      { database: 'shop', user: 'job', limits: {} },
      { database: 'reports', user: 'app', limits: {} },
    ])
    const [both, sameDatabase, sameUser] = bench.pools
    if (both === undefined || sameDatabase === undefined || sameUser === undefined) throw new Error('bug')
    const slots = await sameDatabase.takeAll(2)
    for (const slot of await sameUser.takeAll(2)) sameUser.pool.release(slot)
    const caller = both.ask()
    await bench.clock.advance(10)
    // One less under the one bound alone would be one less for nothing.
    expect([sameUser.pool.idle, caller.outcome]).toEqual([2, 'waiting'])
    for (const slot of slots) sameDatabase.pool.release(slot)
    await bench.clock.advance(0)
    bench.check()
    expect([sameUser.pool.idle, sameDatabase.pool.idle, caller.outcome]).toEqual([1, 1, 'served'])
  })

  test('has them made one after the other when those under the two bounds are never idle together', async () => {
    const bench = new BudgetBench({ max: 9, perDatabase: 1, perUser: 1 }, [
      { database: 'shop', user: 'app', limits: { acquireTimeoutMs: Number.POSITIVE_INFINITY } },
      { database: 'shop', user: 'job', limits: { acquireTimeoutMs: Number.POSITIVE_INFINITY } },
      { database: 'reports', user: 'app', limits: { acquireTimeoutMs: Number.POSITIVE_INFINITY } },
    ])
    const [both, ...others] = bench.pools
    const lines = others.map((of) => ({ of, line: Array.from({ length: 60 }, () => of.ask()) }))
    const caller = both?.ask()
    // The others take turns, so that one of them is always in use.
    const turn = async (at: number): Promise<void> => {
      for (const { of, line } of lines.slice(at, at + 1)) {
        const [first] = line
        if (first?.outcome !== 'served') continue
        line.shift()
        of.pool.release(held(first))
      }
      await bench.clock.advance(1)
      bench.check()
    }
    let turns = 0
    for (; caller?.outcome === 'waiting'; turns += 1) {
      if (turns > 40) throw new Error('it is never served')
      await turn(turns % 2)
    }
    expect(turns).toBeGreaterThan(8)
    if (caller !== undefined) both?.pool.release(held(caller))
    for (let more = 0; lines.some(({ line }) => line.length > 0); more += 1) {
      if (more > 200) throw new Error('the others do not go on')
      await turn(more % 2)
    }
  })

  test('has nothing closed for it in vain, when those under the other bound are all kept', async () => {
    const bench = new BudgetBench({ max: 9, perDatabase: 1, perUser: 1 }, [
      { database: 'shop', user: 'app', limits: {} },
      { database: 'shop', user: 'job', limits: { min: 1 } },
      { database: 'reports', user: 'app', limits: {} },
    ])
    const [both, , sameUser] = bench.pools
    await bench.clock.advance(0)
    const caller = both?.ask()
    for (let use = 0; use < 30; use += 1) {
      const slot = await sameUser?.take()
      if (slot !== undefined) sameUser?.pool.release(slot)
      await bench.clock.advance(1)
    }
    expect([sameUser?.factory.all.length, caller?.outcome]).toEqual([1, 'waiting'])
  })

  test('stands in no line while its server is down', async () => {
    const bench = new BudgetBench({ max: 1 }, [
      { ...same, limits: { acquireTimeoutMs: 60_000 } },
      { ...same, limits: { acquireTimeoutMs: 60_000 } },
    ])
    const [a, b] = bench.pools
    if (a === undefined || b === undefined) throw new Error('bug')
    a.factory.failWith = new Error('ECONNREFUSED')
    const [down, up] = [a.ask(), b.ask()]
    await bench.clock.advance(300)
    expect([down.outcome, up.outcome]).toEqual(['waiting', 'served'])
    a.factory.failWith = undefined
    b.pool.release(held(up))
    await bench.clock.advance(6_000)
    expect(down.outcome).toBe('served')
  })
})

test('pools whose min are more than the budget are refused', () => {
  const budget = new Budget({ max: 5, perDatabase: 3, perUser: 4 })
  const sharer = { idleSince: () => undefined, yieldIdle: () => undefined, again: () => undefined }
  const one = budget.join({ ...sharer, database: 'shop', user: 'app', min: () => 2 })
  expect(() => budget.assertRoom(2, { database: 'shop', user: 'other' })).toThrow('perDatabase of the budget (3)')
  expect(() => budget.assertRoom(3, { database: 'other', user: 'app' })).toThrow('perUser of the budget (4)')
  expect(() => budget.assertRoom(4, { database: 'other', user: 'other' })).toThrow('max of the budget (5)')
  expect(() => one.assertRoom(3)).not.toThrow()
  expect(() => one.assertRoom(4)).toThrow('perDatabase')
})

test('whatever pools do, they keep within the budget, and everybody is served in the end', {
  timeout: longEnough(60_000),
}, async () => {
  const step = fc.record({
    pool: fc.nat({ max: 3 }),
    do: fc.constantFrom(
      'ask',
      'ask',
      'ask',
      'release',
      'release',
      'destroy',
      'kill',
      'close',
      'open',
      'flush',
      'manual',
    ),
    pick: fc.nat({ max: 99 }),
    ms: fc.oneof(fc.constant(0), fc.nat({ max: 50 }), fc.constant(2_000)),
  })
  const config = fc.record({
    database: fc.constantFrom('shop', 'reports'),
    user: fc.constantFrom('app', 'job'),
    limits: fc.record({
      max: fc.integer({ min: 1, max: 5 }),
      min: fc.nat({ max: 1 }),
      idleTimeoutMs: fc.constantFrom(1_000, 600_000),
      acquireTimeoutMs: fc.constant(Number.POSITIVE_INFINITY),
    }),
  })
  const options = fc.record({
    max: fc.integer({ min: 4, max: 8 }),
    perDatabase: fc.option(fc.integer({ min: 4, max: 5 }), { nil: undefined }),
    perUser: fc.option(fc.integer({ min: 4, max: 5 }), { nil: undefined }),
  })
  await fc.assert(
    fc.asyncProperty(
      options,
      fc.array(config, { minLength: 2, maxLength: 4 }),
      fc.array(step, { minLength: 20, maxLength: 150, size: 'max' }),
      async (drawn, configs, steps) => {
        const bench = new BudgetBench(drawn, configs)
        const callers: { readonly of: PoolBench; readonly caller: Caller }[] = []
        const busy = (of?: PoolBench): typeof callers =>
          callers.filter((one) => one.caller.outcome === 'served' && (of === undefined || one.of === of))
        const release = (one: (typeof callers)[number], how: 'release' | 'destroy'): void => {
          callers.splice(callers.indexOf(one), 1)
          one.of.pool[how](held(one.caller))
        }
        for (const { pool: at, do: what, pick, ms } of steps) {
          const of = bench.pools[at % bench.pools.length]
          if (of === undefined) throw new Error('bug')
          const one = busy(of)[pick % Math.max(1, busy(of).length)]
          if (what === 'ask') callers.push({ of, caller: of.ask() })
          else if (what === 'release' || what === 'destroy') {
            if (one !== undefined) release(one, what)
          } else if (what === 'kill') {
            const alive = of.factory.all.filter((resource) => !resource.gone)
            const resource = alive[pick % Math.max(1, alive.length)]
            if (resource !== undefined) {
              resource.alive = false
              of.pool.lost(resource)
            }
          } else if (what === 'close') of.factory.closes[0]?.answer()
          else if (what === 'open') of.factory.opens[0]?.fail(new Error('ECONNREFUSED'))
          else if (what === 'flush') void of.pool.evict('graceful')
          else of.factory.close_ = of.factory.open_ = pick % 2 === 0 ? 'manual' : 'auto'
          await bench.clock.advance(ms)
          bench.check()
        }
        for (const { factory } of bench.pools) {
          factory.close_ = factory.open_ = 'auto'
          for (const close of [...factory.closes]) close.answer()
          for (const open of [...factory.opens]) open.answer()
        }
        // A pool of one serves one caller a turn, so that many callers need many turns; but 40 turns that serve nobody are too many.
        for (let idle = 0; callers.length > 0; ) {
          if (idle > 40) throw new Error(`${callers.length} callers are never served`)
          await bench.clock.advance(5_000)
          bench.check()
          const served = busy()
          for (const one of served) release(one, 'release')
          idle = served.length > 0 ? 0 : idle + 1
        }
        await bench.clock.advance(5_000)
        for (const [index, { pool }] of bench.pools.entries()) {
          expect(pool.total).toBeGreaterThanOrEqual(configs[index]?.limits.min ?? 0)
        }
        const ends = bench.pools.map(({ pool }) => pool.end())
        await bench.clock.advance(5_000)
        await Promise.all(ends)
        expect([bench.budget.taken, bench.budget.wanting, bench.clock.timers]).toEqual([0, 0, 0])
      },
    ),
    seeded(150),
  )
})
