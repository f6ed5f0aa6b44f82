import { InvalidOptionError } from './errors/invalid-option-error.js'
import { assertKnownOptions, optionNames } from './errors/known-options.js'
import { Budget, type BudgetOptions } from './pool/budget.js'

const names = optionNames<BudgetOptions>({ max: true, perDatabase: true, perUser: true })

/**
 * A number of connections for several pools to share. They never have more together. A pool that needs one when all are
 * taken gets it from another: the longest idle one, else the next that comes back to a pool with more.
 *
 * @throws InvalidOptionError
 * @example
 * ```ts
 * import { createBudget, createPool } from '@pg-lifeguard/core'
 *
 * const budget = createBudget({ max: 20, perDatabase: 15 })
 * const shop = createPool({ connectionString: 'postgres://localhost/shop', max: 15, min: 2, budget })
 * const reports = createPool({ connectionString: 'postgres://localhost/reports', max: 10, budget })
 * ```
 */
export function createBudget(options: BudgetOptions): Budget {
  if (typeof options !== 'object' || options === null) {
    throw new InvalidOptionError('the budget', `of type ${typeof options}`, 'an object')
  }
  assertKnownOptions(options, names, 'budget.')
  const { max, perDatabase, perUser } = options
  assertWhole('budget.max', max, Number.MAX_SAFE_INTEGER)
  if (perDatabase !== undefined) assertWhole('budget.perDatabase', perDatabase, max)
  if (perUser !== undefined) assertWhole('budget.perUser', perUser, max)
  return new Budget({ max, perDatabase, perUser })
}

function assertWhole(name: string, value: unknown, most: number): void {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= most) return
  const allowed =
    most === Number.MAX_SAFE_INTEGER ? 'a whole number, 1 or more' : `a whole number from 1 to max (${most})`
  throw new InvalidOptionError(name, String(value), allowed)
}
