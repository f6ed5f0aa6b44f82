import { createPool } from './create-pool.js'
import type { OperationOptions } from './deadline/deadline.js'
import { assertKnownOptions, fieldsOf, isFields, optionNames } from './errors/known-options.js'
import { assertRuntime, InvalidArgumentError } from './errors/lifeguard-error.js'
import type { PoolOptions } from './options/option-schema.js'
import type { EndOptions } from './pool/control.js'
import type { Pool } from './pool/pool.js'
import type { PoolStats } from './pool/stats.js'
import { type Budget, type BudgetOptions, createBudget } from './resource-pool/budget.js'
import type { EvictMode } from './resource-pool/lifecycle.js'

/** What can be done to several pools at once. */
export interface PoolGroup<Name extends string = string> extends AsyncDisposable {
  /** The numbers of each pool, and of their budget if they have one. */
  stats(): PoolGroupStats<Name>
  /** `pause` of every pool; settles when nothing is in use in any. */
  pause(options?: OperationOptions): Promise<void>
  /** `resume` of every pool. */
  resume(): void
  /** `evict` of every pool. */
  evict(mode: EvictMode, options?: OperationOptions): Promise<void>
  /** `end` of every pool; settles when all have ended. */
  end(options?: EndOptions): Promise<void>
  /** `cancelEnd` of every pool; true when all of them go on. */
  cancelEnd(): boolean
}

/** The pools by their names, and what can be done to all of them. */
export type Pools<Name extends string> = { readonly [N in Name]: Pool } & PoolGroup<Name>

/** The numbers of several pools. */
export interface PoolGroupStats<Name extends string> {
  readonly pools: { readonly [N in Name]: PoolStats }
  /** Connections of all pools together, those on their way out included. */
  readonly total: number
  /** Of them, in use. */
  readonly active: number
  /** Callers that wait, in all pools. */
  readonly waiting: number
  /** The bounds of the budget, how much is taken of it, and how many pools stand in line for more. */
  readonly budget: (BudgetOptions & { readonly taken: number; readonly wanting: number }) | undefined
}

/** Options of `createPools`. */
export interface CreatePoolsOptions {
  /** How many connections the pools may have together. @default undefined (each has its own `max`, and no other bound) */
  readonly budget?: BudgetOptions | undefined
}

const names = optionNames<CreatePoolsOptions>({ budget: true })

/** The options of each pool by name; a pool cannot be named as something that the group does. */
export type PoolConfigs<Name extends string> = { readonly [N in Name]: Omit<PoolOptions, 'budget'> } & {
  readonly [N in Exclude<keyof PoolGroup, symbol>]?: never
}

/**
 * Makes several pools, to several databases or for several purposes, that share one budget and can be looked at, paused
 * and ended together. Each is named in `application_name` as it is here, unless it has a `name` of its own.
 *
 * @throws InvalidArgumentError at once, naming the option, the value and what is allowed
 * @example
 * ```ts
 * import { createPools } from '@pg-lifeguard/core'
 *
 * const pools = createPools(
 *   {
 *     main: { connectionString: 'postgres://localhost/shop', min: 2 },
 *     analytics: { connectionString: 'postgres://localhost/analytics', max: 5 },
 *   },
 *   { budget: { max: 12 } },
 * )
 * await pools.main.query('select 1')
 * console.log(pools.stats().budget?.taken)
 * await pools.end()
 * ```
 */
export function createPools<Name extends string>(
  configs: PoolConfigs<Name>,
  options: CreatePoolsOptions = {},
): Pools<Name> {
  assertRuntime()
  assertKnownOptions(options, names)
  const budget = options.budget === undefined ? undefined : createBudget(options.budget)
  const pools = new Map<Name, Pool>()
  const group = groupOf<Name>(pools, budget)
  if (!isFields(configs)) throw new InvalidArgumentError('the pools', 'no object', 'an object: { name: options }')
  const entries = Object.entries(fieldsOf(configs)) as [Name, PoolOptions][]
  for (const [name, config] of entries) {
    if (name in group) throw new InvalidArgumentError(name, 'the name of a pool', 'any name but those of the group')
    if (!isFields(config)) throw new InvalidArgumentError(`the options of ${name}`, 'no object', 'an object')
  }
  try {
    for (const [name, config] of entries) {
      pools.set(name, createPool({ name, ...fieldsOf(config), ...(budget === undefined ? {} : { budget }) }))
    }
  } catch (error) {
    // Those that were made may have begun to connect.
    for (const pool of pools.values()) void pool.end({ mode: 'fast' })
    throw error
  }
  return Object.assign(group, Object.fromEntries(pools)) as Pools<Name>
}

function groupOf<Name extends string>(pools: ReadonlyMap<Name, Pool>, budget: Budget | undefined): PoolGroup<Name> {
  const all = async (of: (pool: Pool) => Promise<void>): Promise<void> => {
    // Each is seen through, whatever becomes of the others; then the first failure is thrown.
    const settled = await Promise.allSettled([...pools.values()].map(of))
    const failed = settled.find(({ status }) => status === 'rejected')
    if (failed?.status === 'rejected') throw failed.reason
  }
  const end = (options?: EndOptions): Promise<void> => all((pool) => pool.end(options))
  return {
    stats: () => {
      const stats = new Map([...pools].map(([name, pool]) => [name, pool.stats()]))
      const sum = (of: (one: PoolStats) => number): number => [...stats.values()].reduce((n, one) => n + of(one), 0)
      return {
        pools: Object.fromEntries(stats) as { readonly [N in Name]: PoolStats },
        total: sum(({ pool }) => pool.total),
        active: sum(({ pool }) => pool.active),
        waiting: sum(({ waits }) => waits.waiting),
        budget: budget && { ...budget.options, taken: budget.taken, wanting: budget.wanting },
      }
    },
    pause: (options) => all((pool) => pool.pause(options)),
    resume: () => {
      for (const pool of pools.values()) pool.resume()
    },
    evict: (mode, options) => all((pool) => pool.evict(mode, options)),
    end,
    cancelEnd: () => [...pools.values()].map((pool) => pool.cancelEnd()).every(Boolean),
    [Symbol.asyncDispose]: () => end(),
  }
}
