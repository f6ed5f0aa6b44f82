import type { Row } from './harness.js'
import type { LineUp } from './line-up.js'
import type { Machine } from './machine.js'

/** The rows as text, in columns: one table for the pools, one for the ORMs. */
export function table(rows: readonly Row[], machine: Machine, rounds: number): string {
  const groups = Map.groupBy(rows, ({ lineUp }) => lineUp.name)
  return [
    `${machine.cores} cores of ${machine.cpu}, Node ${machine.node}, PostgreSQL ${machine.postgresql}`,
    `medians of ${rounds} rounds; a ratio above 1.00 is better`,
    ...[...groups.values()].flatMap(group),
    '',
  ].join('\n')
}

function group(rows: readonly Row[]): string[] {
  const lineUp = rows[0]?.lineUp
  if (lineUp === undefined) return []
  const lines = [['case', 'unit', ...lineUp.peers.map(({ name }) => name), 'ratio'], ...rows.map(cells)]
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  const text = lines.map((line) =>
    line
      .map((cell, column) => (column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  '),
  )
  text.splice(1, 0, widths.map((width) => '-'.repeat(width)).join('  '))
  return ['', heading(lineUp), '', ...text]
}

function heading({ name, subject, yardstick }: LineUp): string {
  return `${name}; ratio: ${subject} against ${yardstick}`
}

function cells(row: Row): string[] {
  const columns = row.lineUp.peers.map(({ name }) => show(row.results[name], row.unit))
  return [row.case, row.unit, ...columns, row.ratio.toFixed(2)]
}

function show(value: number | undefined, unit: Row['unit']): string {
  if (value === undefined) return '-'
  if (unit === 'round trips') return value.toFixed(2)
  if (unit === 'ms') return value.toFixed(1)
  if (unit === 'us' && value < 10) return value.toFixed(2)
  return Math.round(value).toLocaleString('en')
}

/** The same for programs: one array, each row with the two that its ratio is between and what it was measured on. */
export function json(rows: readonly Row[], machine: Machine): string {
  const all = rows.map(({ lineUp: { subject, yardstick }, ...row }) => ({ ...row, subject, yardstick, machine }))
  return `${JSON.stringify(all, undefined, 2)}\n`
}
