import { describe, expect, expectTypeOf, test } from 'vitest'
import { createBreaker, createPool, type Duration, type PoolOptions } from '../../src/index.js'
import type { OptionFields } from '../../src/options/option-kinds.js'
import { poolFields, replicaFields } from '../../src/options/option-schema.js'
import { resolveOptions } from '../../src/options/pool-options.js'

/** Every option that is no group, with the default that its own schema says. */
function leaves(fields: OptionFields, prefix = ''): [string, OptionFields[string]][] {
  return Object.entries(fields).flatMap(([name, kind]): [string, OptionFields[string]][] =>
    kind.fields === undefined ? [[prefix + name, kind]] : leaves(kind.fields, `${prefix}${name}.`),
  )
}

describe('the schema of options', () => {
  test.each([...leaves(poolFields), ...leaves(replicaFields, 'replicas[].')])(
    'has no default for %s that could not be given',
    (_, kind) => {
      // An empty list says nothing, and cannot be given.
      if (kind.default === undefined || (Array.isArray(kind.default) && kind.default.length === 0)) return
      expect(kind.accept(kind.default)).toEqual(kind.default)
    },
  )

  test('fills in every default, in groups too, of which some options were given', () => {
    const { resolved } = resolveOptions({ host: 'db', locks: { maxConnections: 2 }, breaker: { openMs: '2s' } }, {})
    expect(resolved).toMatchObject({ name: 'lifeguard', slowQueryMs: 100, resetOnRelease: 'rollback', maxLagMs: 1_000 })
    expect(resolved.locks).toEqual({ maxConnections: 2, heartbeatMs: 5_000, selfTest: true })
    expect(resolved.breaker).toMatchObject({ openMs: 2_000, maxOpenMs: 30_000, windowCalls: undefined })
    expect(resolveOptions({ breaker: false, pipelining: false, overload: false }, {}).resolved).toMatchObject({
      breaker: false,
      pipelining: false,
      overload: false,
    })
  })

  test.each<[string, PoolOptions, string]>([
    ['min', { max: 2, min: 3 }, 'a whole number from 0 to max (2)'],
    [
      'overload.intervalMs',
      { overload: { targetMs: '3s' } },
      'a finite number of milliseconds, targetMs (3000) or more',
    ],
    ['breaker.maxOpenMs', { breaker: { openMs: '1h' } }, 'a finite number of milliseconds, openMs (3600000) or more'],
    ['breaker.windowCalls', { breaker: { windowCalls: 19 } }, 'a whole number, minCalls (20) or more'],
    ['breaker.failureRate', { breaker: { failureRate: 1.1 } }, 'a number above 0, at most 1'],
    [
      'replicas[0].min',
      { replicas: [{ connectionString: 'postgres://a/b', max: 1, min: 2 }] },
      'a whole number from 0 to max (1)',
    ],
  ])('says what %s must be beside another option', (name, options, allowed) => {
    expect(() => createPool({ host: 'db', ...options })).toThrow(`; allowed: ${allowed}`)
    expect(() => createPool({ host: 'db', ...options })).toThrow(new RegExp(`^${name.replace(/[[\].]/g, '\\$&')} is `))
  })

  test('gives the types of what is accepted: every duration may be a text', () => {
    expectTypeOf<PoolOptions['slowQueryMs']>().toEqualTypeOf<Duration | undefined>()
    expectTypeOf<PoolOptions['max']>().toEqualTypeOf<number | undefined>()
    expectTypeOf<Exclude<PoolOptions['breaker'], false | undefined>['openMs']>().toEqualTypeOf<Duration | undefined>()
    expectTypeOf<PoolOptions['resetOnRelease']>().toEqualTypeOf<'off' | 'rollback' | 'full' | undefined>()
    expectTypeOf<PoolOptions['readFunctions']>().toEqualTypeOf<string | readonly string[] | undefined>()
    // @ts-expect-error no unit of time
    expect(() => createPool({ host: 'db', slowQueryMs: '5 parsecs' })).toThrow('slowQueryMs')
    // @ts-expect-error no option
    expect(() => createPool({ host: 'db', maximum: 5 })).toThrow('maximum is not an option, but max is')
  })

  test("is that of a breaker of one's own, too", () => {
    expect(createBreaker({ slowAfterMs: '30s', openMs: '1s', maxOpenMs: '1m' }).state).toBe('closed')
    expect(() => createBreaker({ openMs: '1h' })).toThrow('maxOpenMs is 30000; allowed: a finite number of')
    expect(() => createBreaker({ minCals: 3 } as never)).toThrow('minCals is not an option, but minCalls is')
  })
})
