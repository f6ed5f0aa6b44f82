import { styleText } from 'node:util'
import Table from 'cli-table3'
import { allWays } from './all-ways.js'
import { ormNames } from './orm.js'
import type { Report, WayReport } from './report.js'
import type { SaleResult } from './sale.js'

type Style = Parameters<typeof styleText>[0]
type Paint = (style: Style, text: string) => string

const noBorders = {
  ...{ top: '', 'top-mid': '', 'top-left': '', 'top-right': '', bottom: '', 'bottom-mid': '', 'bottom-left': '' },
  ...{ 'bottom-right': '', left: ' ', 'left-mid': '', mid: '', 'mid-mid': '', right: '', 'right-mid': '', middle: '' },
}
const nameWidth = 17
/** What else there is to see, at the end of the main one. */
const others = [
  'More: pnpm demo all, or one of mixed, read-your-writes, failover, overload, lost-lock,',
  'lost-commit, stream-and-copy, tenants',
]

/** The report for a person: it fits one screen of 100 columns. */
export function screen(report: Report, colours: boolean): string {
  const paint: Paint = (style, text) => (colours ? styleText(style, text, { validateStream: false }) : text)
  const { buyers, tickets, poolSize, runs, server, orm } = report
  const where = server.kind === 'embedded' ? 'an embedded PostgreSQL' : 'the PostgreSQL of DATABASE_URL,'
  return [
    '',
    `  ${paint('bold', 'The ticket office')}: ${buyers} buyers want one of ${tickets} tickets, all at once, over ${poolSize} connections.`,
    paint(
      'dim',
      `  ${titled(ormNames[orm])} on Lifeguard, ${where} ${server.version}.${runs === 1 ? '' : ` The figures are medians of ${runs} runs.`}`,
    ),
    '',
    figures(report, paint),
    '',
    lessons(report, paint),
    '',
    conclusion(report, paint),
    '',
  ].join('\n')
}

function figures(report: Report, paint: Paint): string {
  const many = report.runs > 1
  const head = ['', 'sold', 'oversold', 'turned away', 'retries', 'time', 'connections', ...(many ? ['expected'] : [])]
  const widths = [nameWidth, 9, 11, 14, 10, 11, 14, ...(many ? [11] : [])]
  const width = widths.reduce((sum, each) => sum + each, 0)
  const table = new Table({
    chars: noBorders,
    style: { head: [], border: [], 'padding-left': 1, 'padding-right': 1 },
    colWidths: widths,
    colAligns: ['left', 'right', 'right', 'right', 'right', 'right', 'right', 'right'],
  })
  table.push(head.map((title) => paint('dim', title)))
  for (const way of report.ways) table.push(row(way, way.name, report, paint))
  for (const way of report.others) table.push(row(way, way.orm, report, paint))
  const [titles = '', ...rows] = table.toString().split('\n')
  return trimmed([titles, `  ${paint('dim', '─'.repeat(width - 2))}`, ...rows].join('\n'))
}

function row(way: WayReport, title: string, { tickets, runs }: Report, paint: Paint): string[] {
  const of = (pick: (sale: SaleResult) => number): number => median(way.sales.map(pick))
  const sold = of((sale) => sale.sold)
  const oversold = of((sale) => sale.oversold)
  const cells = [
    `${way.ok ? mark(way.oversells, paint) : paint('red', '!')} ${paint('bold', title)}`,
    paint(sold === tickets ? 'green' : ['red', 'bold'], count(sold)),
    oversold === 0 ? '0' : paint(['red', 'bold'], count(oversold)),
    count(of((sale) => sale.turnedAway)),
    count(of((sale) => sale.retries)),
    `${count(of((sale) => sale.timeMs))} ms`,
    count(of((sale) => sale.connections)),
  ]
  if (runs > 1) cells.push(`${way.sales.filter(({ problems }) => problems.length === 0).length}/${runs}`)
  return cells
}

function mark(wrong: boolean, paint: Paint): string {
  return wrong ? paint('red', '✗') : paint('green', '✓')
}

function lessons(report: Report, paint: Paint): string {
  const table = new Table({
    chars: noBorders,
    style: { head: [], border: [], 'padding-left': 1, 'padding-right': 1 },
    colWidths: [nameWidth, 78],
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
  const [first] = report.others
  if (first !== undefined) {
    const names = report.others.map(({ orm }) => orm).join(', ')
    table.push([
      `  ${paint('bold', `${first.orm}, ...`)}`,
      `the same ${first.name} through ${names}, on the same pool.`,
    ])
  }
  return trimmed(table.toString())
}

function titled(name: string): string {
  return `${name.charAt(0).toUpperCase()}${name.slice(1)}`
}

function conclusion({ ok, ways, orm }: Report, paint: Paint): string {
  if (!ok) return `  ${paint(['red', 'bold'], 'This is not what was to happen:')} see the lines below.`
  const right = ways.some(({ oversells }) => !oversells)
  const lines = [
    `${paint('bold', 'Checked in the database')}: every ticket belongs to a buyer who was told so, and nobody else was.`,
    ...(right
      ? [
          `${paint('bold', 'Why Lifeguard')}: the right ways are hardly longer than the wrong one. Locks, retries, the queue for`,
          'the connections and the truth about every commit come with the pool, for any ORM on it.',
        ]
      : []),
    ...others.map((line) => paint('dim', line)),
    paint('dim', `The code, a small file each: apps/example/src/ways/${orm}/    Options: pnpm demo --help`),
  ]
  return lines.map((line) => `  ${line}`).join('\n')
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
