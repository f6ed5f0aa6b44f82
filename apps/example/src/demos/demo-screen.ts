import { styleText } from 'node:util'
import { ormNames } from '../orm.js'
import type { Demo, FigureTable } from './demo.js'
import type { DemoReport } from './run-demo.js'

type Style = Parameters<typeof styleText>[0]
type Paint = (style: Style, text: string) => string

/** What comes before the figures: printed first, so that there is something to read while it runs. */
export function introduction(demo: Demo, colours: boolean): string {
  const paint = painter(colours)
  return [
    '',
    `  ${paint('bold', demo.name)}: ${demo.title}`,
    ...wrapped(demo.about.join(' ')).map((line) => paint('dim', `  ${line}`)),
    '',
    '',
  ].join('\n')
}

/** The figures and what they mean, in 80 columns. */
export function demoScreen(demo: Demo, report: DemoReport, colours: boolean): string {
  const paint = painter(colours)
  const names = report.orms.map((orm) => ormNames[orm]).join(', ')
  const why = demo.whyNotAll === undefined ? [] : wrapped(demo.whyNotAll).map((line) => paint('dim', `  ${line}`))
  return [
    ...report.tables.flatMap((table) => [...lines(table, paint), '']),
    ...report.claims.flatMap(({ claim, holds, seen }) =>
      holds
        ? [`  ${paint('green', '✓')} ${claim}`]
        : [
            `  ${paint(['red', 'bold'], '✗')} ${claim}`,
            ...wrapped(`seen: ${seen}`).map((line) => `    ${paint('red', line)}`),
          ],
    ),
    '',
    ...why,
    paint('dim', `  ${names}; ${report.seconds.toFixed(1)} s`),
    paint('dim', `  The code to copy: apps/example/src/${demo.code}`),
    '',
  ].join('\n')
}

/** The last line of several demos. */
export function summary(reports: readonly { readonly demo: string; readonly ok: boolean }[], colours: boolean): string {
  const paint = painter(colours)
  const failed = reports.filter(({ ok }) => !ok).map(({ demo }) => demo)
  return failed.length === 0
    ? `\n  ${paint('green', '✓')} ${reports.length} demos, and everything they claim holds.\n`
    : `\n  ${paint(['red', 'bold'], '✗')} Not everything holds: ${failed.join(', ')}. See the lines on stderr.\n`
}

function lines({ head, rows }: FigureTable, paint: Paint): string[] {
  const cells = [head, ...rows].map((row) =>
    row.map((cell) => (typeof cell === 'number' ? cell.toLocaleString('en') : cell)),
  )
  const widths = head.map((_, column) => Math.max(...cells.map((row) => (row[column] ?? '').length)))
  const [titles = '', ...texts] = cells.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  '),
  )
  const rule = '─'.repeat(widths.reduce((sum, width) => sum + width + 2, -2))
  return [
    paint('dim', `  ${titles}`.trimEnd()),
    paint('dim', `  ${rule}`),
    ...texts.map((text) => `  ${text}`.trimEnd()),
  ]
}

/** In lines that fit. */
function wrapped(text: string): string[] {
  const lines = ['']
  for (const word of text.split(' ')) {
    const last = lines.length - 1
    const line = lines[last] ?? ''
    if (line !== '' && line.length + word.length >= 75) lines.push(word)
    else lines[last] = line === '' ? word : `${line} ${word}`
  }
  return lines
}

function painter(colours: boolean): Paint {
  return (style, text) => (colours ? styleText(style, text, { validateStream: false }) : text)
}
