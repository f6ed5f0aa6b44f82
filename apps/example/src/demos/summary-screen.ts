import { type Orm, ormNames, orms } from '../orm.js'
import { painter, tableLines } from '../screen-parts.js'
import type { DemoReport } from './run-demo.js'

/** What the summary says of a demo. */
export interface SummaryRow extends Pick<DemoReport, 'demo' | 'ok' | 'orms' | 'seconds'> {
  /** In a few words. */
  readonly gist: string
}

/** The end of several demos: what held, and what to do next. */
export function summary(rows: readonly SummaryRow[], size: 'full' | 'short', colours: boolean): string {
  const paint = painter(colours)
  const failed = rows.filter(({ ok }) => !ok)
  const seconds = rows.reduce((sum, row) => sum + row.seconds, 0)
  const table = {
    head: ['demo', 'what it claims', 'written in', '', 'time'],
    rows: rows.map(({ demo, gist, orms, ok, seconds }) => [
      demo,
      gist,
      writtenIn(orms),
      ok ? 'held' : 'NOT HELD',
      `${seconds.toFixed(1)} s`,
    ]),
  }
  const [titles = '', rule = '', ...lines] = tableLines(table, paint, [0, 1, 2, 3])
  const verdict =
    failed.length === 0
      ? `${paint('green', '✓')} ${rows.length} demos in ${seconds.toFixed(0)} s: all claims held.`
      : `${paint(['red', 'bold'], '✗')} Not all claims held: ${failed.map(({ demo }) => demo).join(', ')}. See the lines on stderr.`
  return [
    '',
    titles,
    rule,
    ...lines.map((line, index) => (rows[index]?.ok === false ? paint(['red', 'bold'], line) : line)),
    '',
    `  ${verdict}`,
    '',
    ...next(size).map(([what, how]) => `  ${paint('dim', what.padEnd(22))}${how}`),
    '',
  ].join('\n')
}

function next(size: 'full' | 'short'): readonly (readonly [string, string])[] {
  return [
    ['One of them in full:', 'npx -y pnpm@12 demo failover'],
    ...(size === 'short' ? [['All of them in full:', 'npx -y pnpm@12 demo all'] as const] : []),
    ['One ORM only:', 'npx -y pnpm@12 demo tenants --orm prisma'],
    ['The code to copy:', 'apps/example/src/clients.ts has the set-up;'],
    ['', 'ways/ and demos/ next to it have a file for each ORM'],
  ]
}

function writtenIn(names: readonly Orm[]): string {
  if (names.length === orms.length) return 'SQL, 3 ORMs'
  return names.map((name) => (name === 'sql' ? 'SQL' : ormNames[name])).join(', ')
}
