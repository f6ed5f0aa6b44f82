import Table from 'cli-table3'
import { allWays } from './all-ways.js'
import { ormNames } from './orm.js'
import type { Report, WayReport } from './report.js'
import type { SaleResult } from './sale.js'
import { type Paint, painter, verdictLines } from './screen-parts.js'

const noBorders = {
  ...{ top: '', 'top-mid': '', 'top-left': '', 'top-right': '', bottom: '', 'bottom-mid': '', 'bottom-left': '' },
  ...{ 'bottom-right': '', left: ' ', 'left-mid': '', mid: '', 'mid-mid': '', right: '', 'right-mid': '', middle: '' },
}
const noColours = { head: [], border: [] }

/** The ticket office for a person, behind its introduction: it fits one screen of 80 columns. */
export function screen(report: Report, seconds: number, colours: boolean): string {
  const paint = painter(colours)
  return [
    figures(report, paint),
    '',
    lessons(report, paint),
    '',
    ...verdictLines(verdicts(report), paint),
    '',
    ...footnotes(report, seconds).map((line) => paint('dim', `  ${line}`)),
    '',
  ].join('\n')
}

function figures(report: Report, paint: Paint): string {
  const many = report.runs > 1
  const head = ['', 'sold', 'oversold', many ? 'as expected' : 'turned away', 'retries', 'time', 'connections']
  const widths = [16, 7, 10, 13, 9, 11, 13]
  const width = widths.reduce((sum, each) => sum + each, 0)
  const table = new Table({
    chars: noBorders,
    style: { ...noColours, 'padding-left': 1, 'padding-right': 0 },
    colWidths: widths,
    colAligns: ['left', 'right', 'right', 'right', 'right', 'right', 'right'],
  })
  table.push(head.map((title) => paint('dim', title)))
  for (const way of report.ways) table.push(row(way, way.name, report, paint))
  for (const way of report.others) table.push(row(way, `${way.name}, ${way.orm}`, report, paint))
  const [titles = '', ...rows] = table.toString().split('\n')
  return trimmed([titles, `  ${paint('dim', '─'.repeat(width - 1))}`, ...rows].join('\n'))
}

function row(way: WayReport, title: string, { tickets, runs }: Report, paint: Paint): string[] {
  const of = (pick: (sale: SaleResult) => number): number => median(way.sales.map(pick))
  const sold = of((sale) => sale.sold)
  const oversold = of((sale) => sale.oversold)
  const expected = way.sales.filter(({ problems }) => problems.length === 0).length
  return [
    `${way.ok ? mark(way.oversells, paint) : paint('red', '!')} ${paint('bold', title)}`,
    paint(sold === tickets ? 'green' : ['red', 'bold'], count(sold)),
    oversold === 0 ? '0' : paint(['red', 'bold'], count(oversold)),
    runs === 1 ? count(of((sale) => sale.turnedAway)) : `${expected} of ${runs}`,
    count(of((sale) => sale.retries)),
    `${count(of((sale) => sale.timeMs))} ms`,
    count(of((sale) => sale.connections)),
  ]
}

function mark(wrong: boolean, paint: Paint): string {
  return wrong ? paint('red', '✗') : paint('green', '✓')
}

function lessons(report: Report, paint: Paint): string {
  const table = new Table({
    chars: noBorders,
    style: { ...noColours, 'padding-left': 1, 'padding-right': 0 },
    colWidths: [17, 62],
    wordWrap: true,
  })
  for (const { name, sales, oversells } of report.ways) {
    const way = allWays.find((one) => one.name === name)
    if (way === undefined) throw new Error(`bug: no way is called ${name}`)
    const said = way.lesson({
      oversold: median(sales.map(({ oversold }) => oversold)),
      retries: median(sales.map(({ retries }) => retries)),
    })
    table.push([`${mark(oversells, paint)} ${paint('bold', name)}`, said])
  }
  return trimmed(table.toString())
}

function verdicts({ ways, others, tickets }: Report) {
  const right = [...ways, ...others].filter(({ oversells }) => !oversells)
  const naive = ways.filter(({ oversells }) => oversells)
  const wrong = (some: readonly WayReport[]): string =>
    some
      .flatMap(({ name, sales }) => sales.flatMap(({ problems }) => problems.map((each) => `${name}: ${each}`)))
      .join('; ')
  const verdict = (claim: string, some: readonly WayReport[]) =>
    some.length === 0 ? [] : [{ claim, holds: some.every(({ ok }) => ok), seen: wrong(some) }]
  return [
    ...verdict(`the correct ways sell exactly ${count(tickets)}, each reported to its buyer`, right),
    ...verdict('the naive way sells tickets that do not exist', naive),
  ]
}

function footnotes({ server, runs, orm, others }: Report, seconds: number): string[] {
  const where = server.kind === 'embedded' ? 'PostgreSQL' : 'your PostgreSQL'
  const [first] = others
  const also = first === undefined ? '' : `; ${first.name} also in ${others.map((one) => ormNames[one.orm]).join(', ')}`
  return [
    `Counted in the database, not from the answers${runs === 1 ? '' : `; medians of ${runs} runs`}.`,
    `${ormNames[orm]}${also}; ${where} ${server.version}; ${seconds.toFixed(1)} s`,
    `The code to copy: apps/example/src/ways/${orm}/`,
  ]
}

function trimmed(text: string): string {
  return text.replace(/ +$/gm, '')
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}

function count(value: number): string {
  return value.toLocaleString('en')
}
