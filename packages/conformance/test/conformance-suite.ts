import { expect, test } from 'vitest'
import { allCases, type Case, combinations, faults, missing, runCase, type Subject } from '../src/index.js'
import { useEnvironment } from './environment.js'

/** Every case on these subjects; what is not run makes it fail. */
export function conformanceSuite(subjects: readonly Subject[]): void {
  const environment = useEnvironment()
  const run = new Map<Subject, Set<Case>>(subjects.map((subject) => [subject, new Set()]))

  test('the matrix has no absence without a reason or a case, and no case twice', () => {
    expect(faults(subjects, allCases)).toEqual([])
  })

  // No test.each: it shortens the names.
  for (const { subject, one } of combinations(subjects, allCases)) {
    const title = `${one.name} on ${subject.name}`
    test(title, { timeout: 60_000 }, async () => {
      await runCase(environment, subject, one)
      run.get(subject)?.add(one)
    })
  }

  test('the matrix is complete: what is not absent was run, and went well', () => {
    expect(missing(subjects, allCases, (subject, one) => run.get(subject)?.has(one) === true)).toEqual([])
  })
}
