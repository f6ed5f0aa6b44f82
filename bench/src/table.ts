import type { Row } from './harness.js'
import type { Machine } from './machine.js'
import { peers, subject, yardstick } from './peers.js'

const titles = ['case', 'unit', ...peers.map(({ name }) => name), 'ratio']

/** The rows as text, in columns. */
export function table(rows: readonly Row[], machine: Machine, rounds: number): string {
  const lines = [titles, ...rows.map(cells)]
  const widths = titles.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  const text = lines.map((line) =>
    line
      .map((cell, column) => (column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  '),
  )
  text.splice(1, 0, widths.map((width) => '-'.repeat(width)).join('  '))
  return [
    `${machine.cores} cores of ${machine.cpu}, Node ${machine.node}, PostgreSQL ${machine.postgresql}`,
    `medians of ${rounds} rounds; ratio: ${subject} against ${yardstick}, above 1.00 it is better`,
    '',
    ...text,
    '',
  ].join('\n')
}

function cells(row: Row): string[] {
  return [row.case, row.unit, ...peers.map(({ name }) => show(row.results[name], row.unit)), row.ratio.toFixed(2)]
}

function show(value: number | undefined, unit: Row['unit']): string {
  if (value === undefined) return '-'
  if (unit === 'round trips') return value.toFixed(2)
  if (unit === 'ms') return value.toFixed(1)
  return Math.round(value).toLocaleString('en')
}

/** The same for programs: one array, each row with what it was measured on. */
export function json(rows: readonly Row[], machine: Machine, rounds: number): string {
  return `${JSON.stringify(
    rows.map((row) => ({ ...row, rounds, machine })),
    undefined,
    2,
  )}\n`
}
