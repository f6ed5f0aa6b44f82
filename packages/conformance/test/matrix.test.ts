import { describe, expect, test } from 'vitest'
import { allCases, type Case, combinations, faults, missing, type Subject, togetherCases } from '../src/index.js'

const a: Case = { name: 'a: does', run: async () => undefined }
const b: Case = { name: 'b: does too', run: async () => undefined }

function subject(name: string, absent: Subject['absent'] = {}): Subject {
  return {
    name,
    absent,
    open: () => {
      throw new Error('bug: nothing is opened here')
    },
  }
}

describe('a matrix', () => {
  test('has every case on every subject, but for what is absent', () => {
    const [one, two] = [subject('one'), subject('two', { 'b: does too': 'this ORM has none of it' })]
    const all = combinations([one, two], [a, b])
    expect(all.map(({ subject, one }) => `${subject.name} ${one.name}`)).toEqual([
      'one a: does',
      'one b: does too',
      'two a: does',
    ])
    expect(faults([one, two], [a, b])).toEqual([])
    expect(missing([one, two], [a, b], (_, { name }) => name === 'a: does')).toEqual([
      "'b: does too' was not run on one",
    ])
  })

  test.each([
    ['a name that is no case', { c: 'this ORM has none of it' }, "one lacks 'c', which is no case"],
    ['no reason', { 'a: does': '' }, "one lacks 'a: does' without a reason in words"],
    ['a word for a reason', { 'a: does': 'todo' }, "one lacks 'a: does' without a reason in words"],
  ])('refuses an absence with %s', (_, absent, fault) => {
    expect(faults([subject('one', absent)], [a, b])).toEqual([fault])
  })

  test('refuses a case or a subject that is there twice', () => {
    const again: Case = { name: 'a: does', run: b.run }
    const renamed: Case = { name: 'c: does', run: a.run }
    expect(faults([], [a, again])).toEqual(["the case 'a: does' is there twice"])
    expect(faults([], [a, renamed])).toEqual(["'c: does' is 'a: does' under another name"])
    expect(faults([subject('one'), subject('one')], [])).toEqual(['the subject one is there twice'])
  })
})

test('names of cases begin with their concept, and all are different', () => {
  for (const { name } of allCases) expect(name).toMatch(/^[a-z][a-z ]+: ./)
  const names = [...allCases, ...togetherCases].map(({ name }) => name)
  expect(new Set(names).size).toBe(names.length)
})
