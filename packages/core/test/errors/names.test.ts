import { expect, test } from 'vitest'
import * as core from '../../src/index.js'

test('the name of every error is a property of its class, which minifiers leave alone', () => {
  const classes = Object.entries(core).filter(
    ([, value]) => typeof value === 'function' && value.prototype instanceof core.LifeguardError,
  )
  expect(classes.length).toBeGreaterThan(20)
  for (const [name, one] of classes) {
    // That which the language gives to a class itself is neither enumerable nor writable.
    expect(Object.getOwnPropertyDescriptor(one, 'name'), name).toMatchObject({ value: name, enumerable: true })
  }
})

test('a class of somebody else has its own', () => {
  class Mine extends core.PoolClosedError {}
  expect(new Mine('this').name).toBe('Mine')
  expect(new core.PoolClosedError('this').name).toBe('PoolClosedError')
})
