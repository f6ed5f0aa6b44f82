import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { InvalidArgumentError } from '../../src/errors/lifeguard-error.js'
import { beginPreludes, type IsolationLevel, milliseconds } from '../../src/transaction/options.js'
import { seeded } from '../support/seeded.js'

const setLocal = (name: string, value: string): unknown => ({
  text: 'select pg_catalog.set_config($1::pg_catalog.text, $2::pg_catalog.text, true)',
  values: [name, value],
})

describe('what travels ahead of the first statement', () => {
  test('is BEGIN alone when nothing is asked for', () => {
    expect(beginPreludes({})).toEqual([{ text: 'begin' }])
  })

  test.each<[Parameters<typeof beginPreludes>[0], string]>([
    [{ isolation: 'read committed' }, 'begin isolation level read committed'],
    [{ isolation: 'read uncommitted' }, 'begin isolation level read uncommitted'],
    [{ isolation: 'repeatable read', readOnly: true }, 'begin isolation level repeatable read read only'],
    [
      { isolation: 'serializable', readOnly: true, deferrable: true },
      'begin isolation level serializable read only deferrable',
    ],
    [{ readOnly: false, deferrable: false }, 'begin read write not deferrable'],
  ])('for %o is %s', (options, text) => {
    expect(beginPreludes(options)).toEqual([{ text }])
  })

  test('is then each setting for this transaction only, its value as a parameter, the role last', () => {
    expect(
      beginPreludes({
        role: 'tenant',
        statementTimeoutMs: 500,
        lockTimeoutMs: 250.4,
        idleTimeoutMs: 0,
        settings: { 'app.tenant_id': "42'; drop table t; --", work_mem: '64MB', jit: false },
      }),
    ).toEqual([
      { text: 'begin', meaning: '[["role","tenant"]]' },
      setLocal('app.tenant_id', "42'; drop table t; --"),
      setLocal('work_mem', '64MB'),
      setLocal('jit', 'false'),
      setLocal('statement_timeout', '500'),
      setLocal('lock_timeout', '250'),
      setLocal('idle_in_transaction_session_timeout', '0'),
      setLocal('role', 'tenant'),
    ])
  })

  test('never holds a value in its text', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.string()), fc.string(), (settings, role) => {
        for (const { text } of beginPreludes({ settings, role })) {
          expect(['begin', 'select pg_catalog.set_config($1::pg_catalog.text, $2::pg_catalog.text, true)']).toContain(
            text,
          )
        }
      }),
      seeded(50),
    )
  })

  test.each(['snapshot', 'serializable; drop table t', 'SERIALIZABLE', ''])(
    'is refused for the isolation level %j, which would be put into the text',
    (isolation) => {
      const begin = (): unknown => beginPreludes({ isolation: isolation as IsolationLevel })
      expect(begin).toThrow(InvalidArgumentError)
      expect(begin).toThrow(
        /^isolation is ".*"; allowed: read uncommitted, read committed, repeatable read, serializable$/,
      )
    },
  )
})

test('a duration that is none is refused by its name', () => {
  for (const ms of [Number.NaN, Number.POSITIVE_INFINITY, -1]) {
    expect(() => milliseconds('lockTimeoutMs', ms)).toThrow(/^lockTimeoutMs is /)
  }
})

test('a duration is whole milliseconds, and never 0 by rounding: that would be no limit at all', () => {
  expect([0, 0.001, 0.4, 0.5, 1, 1.4, 1.5, 2_500].map((ms) => milliseconds('lockTimeoutMs', ms))).toEqual([
    '0',
    '1',
    '1',
    '1',
    '1',
    '1',
    '2',
    '2500',
  ])
})
