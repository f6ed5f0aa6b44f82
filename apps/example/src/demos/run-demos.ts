import type { CommandLine } from '../demo-options.js'
import type { Progress } from '../progress.js'
import { problemLines, type Report } from '../report.js'
import { screen } from '../screen.js'
import { allDemos } from './all-demos.js'
import { demoScreen, introduction, summary } from './demo-screen.js'
import { type DemoReport, failedClaims, runDemo } from './run-demo.js'

/** Where the demos show themselves. */
export interface Screen {
  readonly colours: boolean
  readonly progress: Progress
  readonly signal: AbortSignal
  print(text: string): void
}

/** The ticket office among the others; its report is that of `pnpm demo --json`. */
export interface OversellReport {
  readonly demo: 'oversell'
  readonly ok: boolean
  readonly report: Report
}

/** What `--json` prints for everything but the ticket office alone. Described in README.md. */
export interface DemosReport {
  readonly formatVersion: 1
  readonly ok: boolean
  readonly demos: readonly (OversellReport | DemoReport)[]
}

/** Runs the demo that was asked for, or all of them; gives what is wrong, each in one line. */
export async function runDemos(
  { demo: name, orm, short, json }: CommandLine,
  oversell: () => Promise<Report>,
  { colours, progress, signal, print }: Screen,
): Promise<string[]> {
  const reports: (OversellReport | DemoReport)[] = []
  const problems: string[] = []
  if (name === 'all') {
    const report = await oversell()
    reports.push({ demo: 'oversell', ok: report.ok, report })
    problems.push(...problemLines(report).map((line) => `oversell: ${line}`))
    if (!json) print(screen(report, colours))
  }
  for (const demo of Object.values(allDemos)) {
    if (name !== 'all' && name !== demo.name) continue
    if (!json) print(introduction(demo, colours))
    const report = await runDemo(demo, { orm, size: short ? 'short' : 'full' }, progress, signal)
    reports.push(report)
    problems.push(...failedClaims(report))
    if (!json) print(demoScreen(demo, report, colours))
  }
  const whole: DemosReport = { formatVersion: 1, ok: reports.every(({ ok }) => ok), demos: reports }
  if (json) print(`${JSON.stringify(whole, null, 2)}\n`)
  else if (name === 'all') print(summary(reports, colours))
  return problems
}
