import { type DatabaseServer, reachServer } from '../database-server.js'
import type { DemoName } from '../demo-names.js'
import type { CommandLine } from '../demo-options.js'
import type { Orm } from '../orm.js'
import { ormsOfOversell, oversell } from '../oversell.js'
import type { Progress } from '../progress.js'
import { problemLines, type Report } from '../report.js'
import { screen } from '../screen.js'
import { allDemos } from './all-demos.js'
import { demoScreen, introduction } from './demo-screen.js'
import { oversellDescription } from './oversell-description.js'
import { type DemoReport, failedClaims, runDemo, secondsSince } from './run-demo.js'
import type { Servers } from './servers.js'
import { type SummaryRow, summary } from './summary-screen.js'

/** Where the demos show themselves. */
export interface Screen {
  readonly colours: boolean
  readonly progress: Progress
  readonly signal: AbortSignal
  print(text: string): void
}

/** The ticket office among the others; its report is that of `pnpm demo oversell --json`. */
export interface OversellReport {
  readonly demo: 'oversell'
  readonly ok: boolean
  readonly title: string
  readonly orms: readonly Orm[]
  readonly seconds: number
  readonly report: Report
}

/** What `--json` prints for everything but the ticket office alone. Described in README.md. */
export interface DemosReport {
  readonly formatVersion: 2
  readonly ok: boolean
  readonly demos: readonly (OversellReport | DemoReport)[]
}

/**
 * Runs some demos one after the other; gives what is wrong, each in one line.
 *
 * @param own where the tickets are sold; undefined for the servers of the others
 */
export async function runDemos(
  options: CommandLine,
  own: DatabaseServer | undefined,
  servers: Servers,
  view: Screen,
): Promise<string[]> {
  const { names, json } = options
  const { colours, progress, print } = view
  const reports: (OversellReport | DemoReport)[] = []
  const rows: SummaryRow[] = []
  for (const [index, name] of names.entries()) {
    progress.begin(names.length === 1 ? name : `${index + 1} of ${names.length}, ${name}`)
    const description = name === 'oversell' ? oversellDescription(options) : allDemos[name]
    if (!json) print(introduction(description, colours))
    const report =
      name === 'oversell' ? await runOversell(options, own, servers, view) : await runOne(name, options, servers, view)
    reports.push(report)
    rows.push({ ...report, gist: description.gist })
  }
  const ok = reports.every((report) => report.ok)
  const [only] = reports
  if (json) {
    const several: DemosReport = { formatVersion: 2, ok, demos: reports }
    const whole = reports.length === 1 && only !== undefined && 'report' in only ? only.report : several
    print(`${JSON.stringify(whole, null, 2)}\n`)
  } else if (reports.length > 1) {
    print(summary(rows, options.size, colours))
  }
  return reports.flatMap((report) =>
    'report' in report ? problemLines(report.report).map((line) => `oversell: ${line}`) : failedClaims(report),
  )
}

async function runOversell(
  options: CommandLine,
  own: DatabaseServer | undefined,
  servers: Servers,
  { colours, progress, signal, print }: Screen,
): Promise<OversellReport> {
  progress.show('starting PostgreSQL')
  if (own === undefined) await servers.cluster()
  const since = performance.now()
  const server = own ?? (await newDatabase(servers))
  const report = await oversell(options, server, progress, signal)
  const { title } = oversellDescription(options)
  const orms = ormsOfOversell(options)
  const whole = { demo: 'oversell', ok: report.ok, title, orms, seconds: secondsSince(since), report } as const
  if (!options.json) print(screen(report, whole.seconds, colours))
  return whole
}

async function newDatabase(servers: Servers): Promise<DatabaseServer> {
  const cluster = await servers.cluster()
  const { url } = await cluster.createDatabase()
  return await reachServer('embedded', url)
}

async function runOne(
  name: Exclude<DemoName, 'oversell'>,
  { orm, size, json }: CommandLine,
  servers: Servers,
  { colours, progress, signal, print }: Screen,
): Promise<DemoReport> {
  const demo = allDemos[name]
  const report = await runDemo(demo, { orm, size }, servers, progress, signal)
  if (!json) print(demoScreen(demo, report, colours))
  return report
}
