import { expect, expectTypeOf, test } from 'vitest'
import { Operation, type Prelude, type Progress, type Wire } from '../../src/connection/operation.js'
import type { QueryResult } from '../../src/connection/result.js'

/** Notes what is left to a subclass, in order. */
class Noting extends Operation {
  readonly noted: string[] = []
  #note = (...what: readonly unknown[]): void => void this.noted.push(what.join(' '))

  override get result(): QueryResult {
    return { rows: [], rowCount: 0, fields: [], command: 'NOTED' }
  }
  protected override writeOwn({ writer }: Wire): void {
    writer.parse('', 'own')
  }
  protected override onParseComplete = (): void => this.#note('parsed')
  protected override onBindComplete = (): void => this.#note('bound')
  protected override onRowDescription = (): void => this.#note('columns')
  protected override onNoData = (): void => this.#note('no columns')
  protected override onRow = (columns: readonly (string | null)[]): void => this.#note('row', ...columns)
  protected override onComplete = (tag: { readonly text: string } | undefined): void => this.#note('done', tag?.text)
  protected override onSuspended = (): void => this.#note('more')
  protected override onError = (error: Error): void => this.#note('failed', error.message)
  protected override onAnswer = (error: unknown): void => this.#note('answered', error)
  readError(error: unknown): void {
    this.cannotRead(error)
  }
}

const written: string[] = []
const entered: string[] = []
const wire = {
  writer: {
    parse: (_: string, text: string) => written.push(`parse ${text}`),
    bind: (_: string, __: unknown, values: readonly string[] = []) => written.push(`bind ${values.join()}`),
    execute: () => written.push('execute'),
  },
  cache: { enter: (meaning: string) => entered.push(meaning) },
} as unknown as Wire

/** Every message that could come for one statement. */
function answerAll(operation: Operation, tag: string, ...row: readonly string[]): void {
  operation.handleParseComplete(wire)
  operation.handleBindComplete()
  operation.handleRowDescription({ fields: [] })
  operation.handleNoData()
  operation.handlePortalSuspended()
  operation.handleDataRow(row)
  operation.handleCommandComplete({ text: tag })
}

const own = ['parsed', 'bound', 'columns', 'no columns', 'more', 'row own', 'done SELECT 1']

test('preludes are written first and answered first, and a subclass hears of its own messages alone', () => {
  const heard: unknown[] = []
  const preludes: readonly Prelude[] = [
    { text: 'begin', meaning: 'a role', onComplete: (tag) => heard.push(tag) },
    { text: 'select $1', values: ['x'], onRow: (columns) => heard.push(columns) },
    { text: '' },
  ]
  const operation = new Noting('own', preludes)
  operation.write(wire)
  expect(written).toEqual([
    'parse begin',
    'bind ',
    'execute',
    'parse select $1',
    'bind x',
    'execute',
    ...['parse ', 'bind ', 'execute'],
    'parse own',
  ])
  expect(entered).toEqual(['a role'])
  for (const run of [1, 2]) {
    answerAll(operation, 'BEGIN', 'dropped')
    answerAll(operation, 'SELECT 1', 'a', 'b')
    expect([operation.answering.text, operation.isComplete]).toEqual(['', false])
    operation.handleEmptyQuery()
    expect(operation.answering.text).toBe('own')
    expect([operation.noted, heard.splice(0)]).toEqual([[], ['BEGIN', ['a', 'b']]])
    answerAll(operation, 'SELECT 1', 'own')
    expect([operation.noted.splice(0), operation.isComplete, operation.reruns]).toEqual([own, true, run - 1])
    operation.reset()
  }
})

test('rows that nobody can get are dropped: of what has failed, cannot be read, or was answered', () => {
  const failed = new Noting('own')
  failed.handleError(new Error('first'), wire)
  failed.handleError(new Error('second'), wire)
  failed.handleDataRow(['x'])
  expect([failed.noted, failed.failure?.message]).toEqual([['failed first', 'failed second'], 'first'])

  const unread = new Noting('own')
  const first = new Error('first')
  unread.readError(first)
  unread.readError(new Error('second'))
  unread.handleDataRow(['x'])
  expect([unread.noted, unread.unreadable?.error]).toEqual([[], first])

  const answered = new Noting('own')
  const progress: Progress = answered
  progress.isAnswered = true
  answered.handleDataRow(['x'])
  expect(answered.noted).toEqual([])
})

test('an answer goes to the caller, after the subclass has heard of it; what a prelude reports is not run again', () => {
  const got: unknown[] = []
  for (const error of [undefined, 'why']) {
    const operation = new Noting('own')
    operation.resolve = ({ command }) => got.push(command, ...operation.noted)
    operation.reject = (reason) => got.push(reason, ...operation.noted)
    operation.answer(error)
  }
  expect(got).toEqual(['NOTED', 'answered ', 'why', 'answered why'])
  expect(new Noting('own', [{ text: 'commit', onComplete: () => undefined }]).mayRunAgain).toBe(false)
  expect(new Noting('own', [{ text: 'begin', onRow: () => undefined }]).mayRunAgain).toBe(true)
})

test('what a connection notes of an operation is read-only to everybody else', () => {
  expectTypeOf<Pick<Operation, keyof Progress>>().toEqualTypeOf<Readonly<Progress>>()
})
