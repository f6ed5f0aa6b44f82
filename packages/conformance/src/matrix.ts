import type { Case } from './case.js'
import type { Subject } from './subject.js'

/** A case that is run on a subject. */
export interface Combination {
  readonly subject: Subject
  readonly one: Case
}

/** Every case on every subject, but for what is absent for a reason. */
export function combinations(subjects: readonly Subject[], cases: readonly Case[]): readonly Combination[] {
  return subjects.flatMap((subject) =>
    cases.filter(({ name }) => !Object.hasOwn(subject.absent, name)).map((one) => ({ subject, one })),
  )
}

/** What is wrong with a matrix: absences without a reason or a case, and names or cases that are there twice. */
export function faults(subjects: readonly Subject[], cases: readonly Case[]): readonly string[] {
  const found: string[] = []
  const names = new Set<string>()
  const runs = new Map<Case['run'], string>()
  for (const { name, run } of cases) {
    if (names.has(name)) found.push(`the case '${name}' is there twice`)
    names.add(name)
    const other = runs.get(run)
    if (other !== undefined && other !== name) found.push(`'${name}' is '${other}' under another name`)
    runs.set(run, name)
  }
  const subjectNames = subjects.map(({ name }) => name)
  for (const name of new Set(subjectNames)) {
    if (subjectNames.indexOf(name) !== subjectNames.lastIndexOf(name)) found.push(`the subject ${name} is there twice`)
  }
  for (const { name: subject, absent } of subjects) {
    for (const [name, reason] of Object.entries(absent)) {
      if (!names.has(name)) found.push(`${subject} lacks '${name}', which is no case`)
      if (reason.trim().split(/\s+/).length < 4) found.push(`${subject} lacks '${name}' without a reason in words`)
    }
  }
  return found
}

/** Combinations of a matrix that were neither run nor are absent. */
export function missing(
  subjects: readonly Subject[],
  cases: readonly Case[],
  wasRun: (subject: Subject, one: Case) => boolean,
): readonly string[] {
  return combinations(subjects, cases)
    .filter(({ subject, one }) => !wasRun(subject, one))
    .map(({ subject, one }) => `'${one.name}' was not run on ${subject.name}`)
}
