import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { poolFields } from '../../src/options/option-schema.js'
import { RetryBudget } from '../../src/resilience/retry.js'
import { seeded } from '../support/seeded.js'

const defaults = poolFields.retryBudget.default

describe('the retry budget', () => {
  test('never grants more than the reserve and what the successes paid for', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 20 }),
        fc.integer({ min: 0, max: 8 }).map((eighths) => eighths / 8),
        fc.array(fc.constantFrom('success', 'retry'), { maxLength: 400 }),
        (reserve, perSuccess, events) => {
          const budget = new RetryBudget({ reserve, perSuccess })
          let successes = 0
          let retries = 0
          for (const event of events) {
            if (event === 'success') {
              budget.succeeded()
              successes += 1
            } else {
              const { available } = budget
              const granted = budget.tryRetry()
              expect(granted).toBe(available >= 1)
              if (granted) retries += 1
            }
            expect(retries).toBeLessThanOrEqual(reserve + perSuccess * successes)
            expect(budget.available).toBeGreaterThanOrEqual(0)
            expect(budget.available).toBeLessThanOrEqual(reserve)
          }
        },
      ),
      seeded(300),
    )
  })

  test('starts with 100, is spent by retries alone, and is filled one for one', () => {
    const budget = new RetryBudget(defaults)
    expect(Array.from({ length: 101 }, () => budget.tryRetry()).filter(Boolean)).toHaveLength(100)
    budget.succeeded()
    expect([budget.tryRetry(), budget.tryRetry()]).toEqual([true, false])
  })

  test('saves up no more than its reserve, so that a long calm does not pay for a storm', () => {
    const budget = new RetryBudget({ ...defaults, reserve: 3 })
    for (let success = 0; success < 1_000; success++) budget.succeeded()
    expect(budget.available).toBe(3)
  })

  test('adds up parts of a retry', () => {
    const budget = new RetryBudget({ reserve: 1, perSuccess: 0.5 })
    budget.tryRetry()
    budget.succeeded()
    expect(budget.tryRetry()).toBe(false)
    budget.succeeded()
    expect(budget.tryRetry()).toBe(true)
  })

  test('without a reserve grants nothing ever', () => {
    const budget = new RetryBudget({ ...defaults, reserve: 0 })
    budget.succeeded()
    expect(budget.tryRetry()).toBe(false)
  })
})
