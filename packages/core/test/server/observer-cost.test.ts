import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { expect, test } from 'vitest'
import type { Connection } from '../../src/connection/connection.js'
import { Statement } from '../../src/connection/statement.js'
import { systemClock } from '../../src/deadline/clock.js'
import { noDeadline } from '../../src/deadline/deadline.js'
import { Emitter } from '../../src/observe/emitter.js'
import { defaultsOf } from '../../src/options/option-kinds.js'
import { breakerFields, limitFields } from '../../src/options/option-schema.js'
import type { PoolObserver } from '../../src/resource-pool/resource.js'
import { ResourcePool } from '../../src/resource-pool/resource-pool.js'
import type { ServerEvents } from '../../src/server/events.js'
import { ServerObserver } from '../../src/server/observer.js'
import { FakeClock } from '../support/fake-clock.js'

/** A clock that counts how often it is read. */
class CountingClock extends FakeClock {
  readings = 0

  override now(): number {
    this.readings += 1
    return super.now()
  }
}

/** Enough of a connection for a pool that never talks to it. */
const nobody = { pid: 7, isAlive: true } as unknown as Connection

function newWatch(clock = new CountingClock(), pool = 'shop') {
  let described = 0
  const describe = (): string => `described ${++described}`
  const events = new Emitter<ServerEvents>({ prefix: `pg-lifeguard-cost-${pool}`, stamp: { pool }, describe })
  const options = {
    pool,
    role: 'primary' as const,
    why: 'the only server',
    events,
    slowQueryMs: 100,
    breaker: defaultsOf(breakerFields),
    onLeak: () => undefined,
  }
  return { clock, events, watch: new ServerObserver('here', options, { clock, random: () => 0.5 }) }
}

async function newPool(clock: FakeClock | typeof systemClock, observer: PoolObserver<Connection>) {
  const factory = {
    address: 'here',
    open: () => Promise.resolve(nobody),
    close: () => Promise.resolve(),
    destroy: () => Promise.resolve(),
    isAlive: () => true,
    check: () => Promise.resolve(true),
    isPermanent: () => false,
  }
  const pool = new ResourcePool<Connection>(
    factory,
    { ...defaultsOf(limitFields), validateAfterIdleMs: Number.POSITIVE_INFINITY },
    { clock, random: () => 0.5 },
    observer,
  )
  pool.release(await pool.acquire(noDeadline))
  return pool
}

function cycle(pool: ResourcePool<Connection>): void {
  const slot = pool.tryAcquire()
  if (slot === undefined) throw new Error('an idle connection was expected')
  pool.release(slot)
}

test('while nobody listens, taking and giving back reads no clock that it would not read anyway', async () => {
  const readings = async (observer: PoolObserver<Connection>, clock: CountingClock): Promise<number> => {
    const pool = await newPool(clock, observer)
    const before = clock.readings
    for (let round = 0; round < 100; round++) cycle(pool)
    const after = clock.readings
    await pool.end()
    return after - before
  }
  const { clock, watch, events } = newWatch()
  const bare = await readings({}, new CountingClock())
  expect(await readings(watch, clock)).toBe(bare)
  events.on('release', () => undefined)
  expect(await readings(watch, clock)).toBe(bare + 100)
})

test('while nobody listens, an answer reads no clock but for the breaker, and makes no event', () => {
  const { clock, watch } = newWatch()
  const statement = new Statement({ text: 'select 1' })
  const before = clock.readings
  for (let round = 0; round < 100; round++) {
    watch.answered(statement, nobody, watch.asked(statement, nobody), undefined, 1)
  }
  expect(clock.readings - before).toBe(100)
  const heard: unknown[] = []
  const listener = (message: unknown): void => void heard.push(message)
  subscribe('pg-lifeguard-cost-shop:query', listener)
  watch.answered(statement, nobody, watch.asked(statement, nobody), undefined, 1)
  unsubscribe('pg-lifeguard-cost-shop:query', listener)
  watch.answered(statement, nobody, watch.asked(statement, nobody), undefined, 1)
  expect(heard).toHaveLength(1)
})

/**
 * Prints what watching costs: with LIFEGUARD_COST=1 in full length. Never a gate, as a busy machine would decide it.
 */
test('what it costs, in rounds that take turns', async () => {
  const isLong = process.env['LIFEGUARD_COST'] === '1'
  const [rounds, cycles] = isLong ? [41, 200_000] : [3, 1_000]
  const { watch } = newWatch(undefined, 'unheard')
  const { watch: heardWatch, events } = newWatch(undefined, 'heard')
  for (const name of ['acquire', 'release', 'query'] as const) events.on(name, () => undefined)
  const pools = {
    'no observer': await newPool(systemClock, {}),
    'watched, nobody listens': await newPool(systemClock, watch),
    'watched, one listener': await newPool(systemClock, heardWatch),
  }
  const statement = new Statement({ text: 'select 1' })
  const subjects: Record<string, () => void> = {}
  for (const [name, pool] of Object.entries(pools)) subjects[`acquire and release: ${name}`] = () => cycle(pool)
  for (const [name, one] of Object.entries({ 'nobody listens': watch, 'one listener': heardWatch })) {
    subjects[`statement: watched, ${name}`] = () =>
      one.answered(statement, nobody, one.asked(statement, nobody), undefined, 1)
  }
  const readings = new Map<string, number[]>()
  for (let round = 0; round < rounds; round++) {
    for (const [name, run] of Object.entries(subjects)) {
      const since = systemClock.now()
      for (let made = 0; made < cycles; made++) run()
      const ns = ((systemClock.now() - since) * 1e6) / cycles
      readings.set(name, [...(readings.get(name) ?? []), ns])
    }
  }
  await Promise.all(Object.values(pools).map((pool) => pool.end()))
  for (const [name, all] of readings) {
    const median = all.sort((a, b) => a - b)[Math.floor(all.length / 2)] ?? Number.NaN
    expect(median).toBeGreaterThan(0)
    if (isLong) process.stdout.write(`${name}: ${Math.round(median)} ns\n`)
  }
})
