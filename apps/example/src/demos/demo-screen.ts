import { ormNames } from '../orm.js'
import { painter, tableLines, verdictLines, wrapped } from '../screen-parts.js'
import type { Demo, DemoDescription } from './demo.js'
import type { DemoReport } from './run-demo.js'

/** What comes before the figures: printed first, so that there is something to read while it runs. */
export function introduction(demo: DemoDescription, colours: boolean): string {
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
  const why = demo.whyNotAll === undefined ? [] : wrapped(demo.whyNotAll)
  return [
    ...report.tables.flatMap((table) => [...tableLines(table, paint), '']),
    ...verdictLines(report.claims, paint),
    '',
    ...[...why, `${names}; ${report.seconds.toFixed(1)} s`, `The code to copy: apps/example/src/${demo.code}`].map(
      (line) => paint('dim', `  ${line}`),
    ),
    '',
  ].join('\n')
}
