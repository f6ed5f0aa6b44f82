import { expect, test } from 'vitest'
import { allCases, type Case, combinations, faults, missing, runCase, type Subject } from '../src/index.js'
import { useEnvironment } from './environment.js'
import { core } from './subjects/core.js'
import { kysely } from './subjects/kysely.js'

const environment = useEnvironment()
const subjects: readonly Subject[] = [core, kysely]
const run = new Map<Subject, Set<Case>>(subjects.map((subject) => [subject, new Set()]))

test('the matrix has no absence without a reason or a case, and no case twice', () => {
  expect(faults(subjects, allCases)).toEqual([])
})

test.each(
  combinations(subjects, allCases).map(({ subject, one }) => ({
    title: `${one.name} on ${subject.name}`,
    subject,
    one,
  })),
)(
  '$title',
  async ({ subject, one }) => {
    await runCase(environment, subject, one)
    run.get(subject)?.add(one)
  },
  60_000,
)

test('the matrix is complete: what is not absent was run, and went well', () => {
  expect(missing(subjects, allCases, (subject, one) => run.get(subject)?.has(one) === true)).toEqual([])
})
