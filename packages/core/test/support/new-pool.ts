import { Deadline, noDeadline } from '../../src/deadline/deadline.js'
import { defaultsOf } from '../../src/options/option-kinds.js'
import { limitFields } from '../../src/options/option-schema.js'
import type { BudgetShare } from '../../src/resource-pool/budget.js'
import type { ResolvedPoolLimits } from '../../src/resource-pool/limits.js'
import type { Slot } from '../../src/resource-pool/resource.js'
import { ResourcePool } from '../../src/resource-pool/resource-pool.js'
import type { WorkContext } from '../../src/resource-pool/wait-queue.js'
import { FakeClock } from './fake-clock.js'
import { FakeFactory, type FakeResource } from './fake-factory.js'

export type FakeSlot = Slot<FakeResource>

/** A caller of `acquire`, and what became of it. */
export interface Caller {
  readonly promise: Promise<FakeSlot>
  outcome: 'waiting' | 'served' | 'refused'
  slot: FakeSlot | undefined
  error: unknown
  /** How often it was settled; a promise cannot be asked, so its two handlers count. */
  settled: number
}

/** A pool over fakes, with the short forms that its tests use. */
export class PoolBench {
  readonly clock: FakeClock
  readonly factory: FakeFactory
  readonly pool: ResourcePool<FakeResource>

  constructor(
    limits: Partial<ResolvedPoolLimits> = {},
    prepare: (factory: FakeFactory) => void = () => undefined,
    random: () => number = () => 0.5,
    clock: FakeClock = new FakeClock(),
    share?: BudgetShare,
  ) {
    this.clock = clock
    this.factory = new FakeFactory()
    prepare(this.factory)
    const all: ResolvedPoolLimits = { ...defaultsOf(limitFields), ...limits }
    this.pool = new ResourcePool(this.factory, all, { clock, random }, {}, share)
  }

  /** Asks for a connection. */
  ask(options?: { readonly timeoutMs?: number; readonly signal?: AbortSignal; readonly holder?: WorkContext }): Caller {
    const limit: Deadline = options === undefined ? noDeadline : Deadline.of(options, this.clock)
    const promise = this.pool.acquire(limit, options?.holder)
    const caller: Caller = { promise, outcome: 'waiting', slot: undefined, error: undefined, settled: 0 }
    promise.then(
      (slot) => {
        Object.assign(caller, { outcome: 'served', slot, settled: caller.settled + 1 })
      },
      (error: unknown) => {
        Object.assign(caller, { outcome: 'refused', error, settled: caller.settled + 1 })
      },
    )
    return caller
  }

  /** Asks and waits until it has one. */
  async take(options?: Parameters<PoolBench['ask']>[0]): Promise<FakeSlot> {
    const caller = this.ask(options)
    await this.clock.advance(0)
    return await caller.promise
  }

  /** Takes several at once. */
  async takeAll(count: number): Promise<FakeSlot[]> {
    const slots: FakeSlot[] = []
    for (let taken = 0; taken < count; taken++) slots.push(await this.take())
    return slots
  }

  /** What the pool says of itself. */
  state(): { active: number; idle: number; total: number; connecting: number; waiting: number } {
    const { active, idle, total, connecting, waiting } = this.pool
    return { active, idle, total, connecting, waiting }
  }
}

/** Gives back what a test holds. */
export function held(caller: Caller | undefined): FakeSlot {
  if (caller?.slot === undefined) throw new Error(`this caller has no connection: ${caller?.outcome} ${caller?.error}`)
  return caller.slot
}

/** The one that must be there. */
export function the<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('nothing there')
  return value
}
