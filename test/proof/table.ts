import { type Cell, type Mode, modes, moments, outcomesOf } from './cell.js'
import { faultNames } from './faults.js'

const titles = ['fault', 'moment', ...modes]

/** What one mode learned at one moment: `CommitUnknownError, not committed (30 of 30)`. */
function learned(cell: Cell | undefined): string {
  if (cell === undefined) return ''
  return outcomesOf(cell)
    .map(({ learned, rows, trials }) => {
      const fact = rows === 0 ? 'not committed' : rows === 1 ? 'committed' : `committed ${rows} times`
      return `${learned}, ${fact} (${trials} of ${cell.trials.length})`
    })
    .join('; ')
}

function rowsOf(cells: readonly Cell[]): string[][] {
  const rows: string[][] = []
  for (const fault of faultNames) {
    for (const moment of moments) {
      const here = cells.filter((cell) => cell.fault === fault && cell.moment === moment)
      if (here.length === 0) continue
      const of = (mode: Mode): string => learned(here.find((cell) => cell.mode === mode))
      rows.push([fault, moment, ...modes.map(of)])
    }
  }
  return rows
}

function widthsOf(lines: readonly (readonly string[])[]): number[] {
  return titles.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
}

/** The cells for a terminal, in columns. */
export function text(cells: readonly Cell[]): string {
  const lines = [titles, ...rowsOf(cells)]
  const widths = widthsOf(lines)
  const padded = lines.map((line) =>
    line
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  padded.splice(1, 0, widths.map((width) => '-'.repeat(width)).join('  '))
  return `${padded.join('\n')}\n`
}

/** The cells for the page, as a table in markdown, in the form that the formatter of this repository gives it. */
export function markdown(cells: readonly Cell[]): string {
  const lines = [titles, ...rowsOf(cells)]
  const widths = widthsOf(lines)
  const padded = lines.map((line) => line.map((cell, column) => cell.padEnd(widths[column] ?? 0)))
  padded.splice(
    1,
    0,
    widths.map((width) => '-'.repeat(width)),
  )
  return padded.map((line) => `| ${line.join(' | ')} |`).join('\n')
}

/** A table in markdown without its counts and its white space: what has to stay the same from run to run. */
export function structure(table: string): string {
  return table
    .replaceAll(/ \(\d+ of \d+\)/g, '')
    .replaceAll(/ +/g, ' ')
    .replaceAll(/-{3,}/g, '---')
}

const begin = '<!-- proof matrix: written by `npx -y pnpm@12 lab proof` -->'
const end = '<!-- end of the proof matrix -->'

/** The table that stands in a page. @throws when there is no place for one */
export function tableIn(page: string): string {
  return page.slice(...placeIn(page)).trim()
}

/** The page with this table in its place. */
export function withTable(page: string, table: string): string {
  const [from, to] = placeIn(page)
  return `${page.slice(0, from)}\n\n${table}\n\n${page.slice(to)}`
}

function placeIn(page: string): [from: number, to: number] {
  const from = page.indexOf(begin)
  const to = page.indexOf(end)
  if (from === -1 || to < from) throw new Error(`the page has no place for the table: ${begin} ... ${end}`)
  return [from + begin.length, to]
}
