import { expect, test } from 'vitest'
import { deallocatedNames } from '../../src/sql/prepared-statements.js'

test.each([
  ['deallocate a', ['a']],
  ['DeAllocate PREPARE A', ['a']],
  ['/* b */ deallocate -- c\n "A b";', ['A b']],
  ['deallocate "with ""quotes"""', ['with "quotes"']],
  ['deallocate all', []],
  ['deallocate prepare all', []],
  ['deallocate "all"', ['all']],
  ['deallocate prepare', ['prepare']],
  ['deallocate prepare; deallocate prepare prepare', ['prepare', 'prepare']],
  ["select 'deallocate b'; deallocate a; deallocate all; deallocate c", ['a', 'c']],
  [`deallocate ${'x'.repeat(70)}`, ['x'.repeat(63)]],
  [`deallocate "${'é'.repeat(40)}"`, ['é'.repeat(31)]],
  ['select deallocate from a', []],
  ['deallocate U&"\\0061"', undefined],
  ['deallocate É', undefined],
  ['deallocate', undefined],
  ['deallocate $1', undefined],
])('%j frees %j', (text, names) => {
  expect(deallocatedNames(text)).toEqual(names)
})
