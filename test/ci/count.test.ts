import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { root } from '../support/workspace.js'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lifeguard-count-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A file of a report, with a test for each of these outcomes. */
function file(status: string, ...outcomes: string[]): object {
  const assertionResults = outcomes.map((outcome, at) => ({ status: outcome, fullName: `test ${at}` }))
  return { name: 'a.test.ts', status, message: '', assertionResults }
}

/** What CI would print last, and end with, for a report and the exit code of the test command. */
function counted(
  report: object | undefined,
  tested: number,
  ...steps: string[]
): { last: string | undefined; code: number | null } {
  const path = join(folder, 'report.json')
  rmSync(path, { force: true })
  if (report !== undefined) writeFileSync(path, JSON.stringify(report))
  const { stdout, status } = spawnSync(process.execPath, [join(root, '.ci/count.mjs'), path, String(tested), ...steps])
  return { last: stdout.toString().trimEnd().split('\n').at(-1), code: status }
}

test('all passed', () => {
  expect(counted({ testResults: [file('passed', 'passed', 'passed'), file('passed', 'passed')] }, 0)).toEqual({
    last: '3 passed, 0 failed',
    code: 0,
  })
})

test('a failed test ends with the exit code of the test command', () => {
  expect(counted({ testResults: [file('failed', 'passed', 'failed', 'failed')] }, 3)).toEqual({
    last: '1 passed, 2 failed',
    code: 3,
  })
})

test.each(['skipped', 'pending', 'todo'])('a test that is %s has failed', (outcome) => {
  expect(counted({ testResults: [file('passed', 'passed', outcome)] }, 0)).toEqual({
    last: '1 passed, 1 failed',
    code: 1,
  })
})

test('a file that does not load, or fails after its tests, is a failure', () => {
  expect(counted({ testResults: [file('passed', 'passed'), file('failed')] }, 1)).toEqual({
    last: '1 passed, 1 failed',
    code: 1,
  })
  expect(counted({ testResults: [file('failed', 'passed')] }, 1)).toEqual({ last: '1 passed, 1 failed', code: 1 })
})

test('an error outside of all tests is a failure', () => {
  expect(counted({ testResults: [file('passed', 'passed')] }, 1)).toEqual({ last: '1 passed, 1 failed', code: 1 })
})

test('no tests are a failure', () => {
  expect(counted({ testResults: [] }, 0)).toEqual({ last: '0 passed, 1 failed', code: 1 })
})

test('no report, as after a build that failed, is a failure', () => {
  expect(counted(undefined, 1)).toEqual({ last: '0 passed, 1 failed', code: 1 })
})

test('each other step that failed is a failure', () => {
  expect(counted({ testResults: [file('passed', 'passed')] }, 0, 'lint', 'typecheck')).toEqual({
    last: '1 passed, 2 failed',
    code: 1,
  })
})
