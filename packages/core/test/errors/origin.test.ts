import { expect, test } from 'vitest'
import { classify } from '../../src/errors/classify.js'
import { inheritOrigin, markStalePlan } from '../../src/errors/origin.js'

test('what an adapter makes of the error of a stale plan asks for the same retry', () => {
  const error = Object.assign(new Error('cached plan must not change result type'), {
    code: '0A000',
    severity: 'ERROR',
  })
  const mapped = { originalCode: '0A000' }
  markStalePlan(error)
  inheritOrigin(mapped, error)
  expect(classify(error)).toBe('stale-plan')
  expect(classify(Object.assign(new Error('of the ORM'), { cause: mapped }))).toBe('stale-plan')
})
