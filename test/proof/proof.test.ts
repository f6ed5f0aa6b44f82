import { expect, test } from 'vitest'
import { read } from '../support/workspace.js'
import { type Cell, type Mode, modes, moments, type Trial, untruths } from './cell.js'
import { type FaultName, faultNames, faults } from './faults.js'
import { parseOptions } from './options.js'
import { page } from './page.js'
import { runFault } from './runner.js'
import { markdown, structure, tableIn, text, withTable } from './table.js'

/** A smoke: `npx -y pnpm@12 lab proof` does more of them, and `lab all` every night. */
const trials = 3
/** Two at a time, as each waits for servers of its own most of the time. */
const lanes: readonly (readonly FaultName[])[] = [
  ['kill', 'cut', 'restart'],
  ['stall', 'promote'],
]

test('no fault at any moment makes a caller believe what is not so, and the page says what it learns', async () => {
  const found = new Map<FaultName, Cell[]>(faultNames.map((fault) => [fault, []]))
  await Promise.all(
    lanes.map(async (lane) => {
      for (const fault of lane) await runFault(fault, moments, trials, (cell) => found.get(fault)?.push(cell))
    }),
  )
  const cells = faultNames.flatMap((fault) => found.get(fault) ?? [])
  expect(cells.flatMap(untruths)).toEqual([])
  const expected = faultNames.reduce((sum, fault) => sum + faults[fault].modes.length * moments.length, 0)
  expect(cells).toHaveLength(expected)
  for (const cell of cells) expect(cell.trials).toHaveLength(trials)
  // `npx -y pnpm@12 lab proof` writes the table anew.
  expect(structure(tableIn(read(page)))).toBe(structure(markdown(cells)))
}, 180_000)

test('a caller that believes what is not so is found', () => {
  const judge = (learned: string, rows: number, mode: Mode, fault: FaultName): string[] => {
    const trial: Trial = { mode, operation: 'x', learned, rows }
    return untruths({ fault, moment: 'mid-transaction', mode, trials: [trial] })
  }
  expect(judge('returned', 1, 'plain', 'kill')).toEqual([])
  expect(judge('returned', 0, 'plain', 'kill').join()).toContain('missing')
  expect(judge('returned after 1 retry', 2, 'plain', 'kill').join()).toContain('applied 2 times')
  expect(judge('OperationTimeoutError', 1, 'plain', 'stall').join()).toContain('reported as rolled back')
  expect(judge('OperationTimeoutError', 0, 'plain', 'stall')).toEqual([])
  for (const rows of [0, 1]) expect(judge('CommitUnknownError', rows, 'plain', 'cut')).toEqual([])
  expect(judge('CommitUnknownError', 1, 'proveCommit', 'cut').join()).toContain('a server was there')
  expect(judge('CommitUnknownError', 1, 'proveCommit', 'promote')).toEqual([])
  expect(judge('CommitUnknownError', 1, 'markerTable', 'promote').join()).toContain('a server was there')
})

test('the table has a row for each moment, and its counts are no part of its structure', () => {
  const trial = (learned: string, rows: number): Trial => ({ mode: 'plain', operation: 'x', learned, rows })
  const cells: Cell[] = [
    { fault: 'cut', moment: 'before COMMIT', mode: 'plain', trials: [trial('returned', 1), trial('Error', 0)] },
  ]
  const table = markdown(cells)
  expect(structure(table).split('\n').at(-1)).toBe(
    '| cut | before COMMIT | Error, not committed; returned, committed | | |',
  )
  expect(table.split('\n').at(-1)).toContain('| Error, not committed (1 of 2); returned, committed (1 of 2) |')
  const first = withTable(
    `a\n${'<!-- proof matrix: written by `npx -y pnpm@12 lab proof` -->'}\nold\n<!-- end of the proof matrix -->\nb\n`,
    table,
  )
  expect(tableIn(first)).toBe(table)
  expect(withTable(first, table)).toBe(first)
  expect(first.startsWith('a\n')).toBe(true)
  expect(first.endsWith('\nb\n')).toBe(true)
  expect(text(cells)).toContain('cut    before COMMIT  Error, not committed (1 of 2)')
  expect(() => tableIn('no place')).toThrow('no place')
})

test('options are checked', () => {
  expect(parseOptions([])).toEqual({ faults: faultNames, moments, trials: 30, json: false })
  expect(parseOptions(['--', '--cell', 'cut/before COMMIT', '--trials', '3', '--json'])).toMatchObject({
    faults: ['cut'],
    moments: ['before COMMIT'],
    trials: 3,
    json: true,
  })
  for (const wrong of [['--cell', 'flood'], ['--cell', 'cut/never'], ['--trials', '0'], ['--trials', 'x'], ['--no']]) {
    expect(() => parseOptions(wrong)).toThrow(/there are|whole number|--help/)
  }
  expect(modes.length * moments.length * faultNames.length).toBeGreaterThan(50)
})
