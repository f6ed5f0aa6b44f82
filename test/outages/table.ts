import type { Outcome } from './run-scenario.js'
import type { Scenario } from './scenario.js'

/** What each pool did in one scenario. */
export interface ScenarioResult {
  readonly scenario: Pick<Scenario, 'name' | 'title'>
  readonly outcomes: Readonly<Record<string, Outcome>>
}

/** Figures side by side, then what was promised and whether it held. */
export function table({ scenario, outcomes }: ScenarioResult, promised: string): string {
  const names = Object.keys(outcomes)
  const rows = new Set(
    Object.values(outcomes).flatMap((one) => (one.kind === 'report' ? Object.keys(one.report.figures) : [])),
  )
  const cell = (name: string, row: string): string => {
    const one = outcomes[name]
    if (one === undefined) return ''
    return one.kind === 'died' ? '-' : String(one.report.figures[row] ?? '-')
  }
  const lines = [['', ...names], ...[...rows].map((row) => [row, ...names.map((name) => cell(name, row))])]
  const widths =
    lines[0]?.map((_, column) => Math.min(60, Math.max(...lines.map((line) => line[column]?.length ?? 0)))) ?? []
  const text = lines.map((line) =>
    line
      .map((part, column) => part.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  const died = Object.entries(outcomes).flatMap(([name, one]) =>
    one.kind === 'died' ? [`${name}: the process died (${one.how})`] : [],
  )
  const ours = outcomes[promised]
  const claims =
    ours?.kind === 'report'
      ? ours.report.claims.map(({ claim, holds, seen }) => `${holds ? 'holds ' : 'BROKEN'}  ${claim}: ${seen}`)
      : []
  return [`${scenario.name}: ${scenario.title}`, '', ...text, ...died, '', ...claims, ''].join('\n')
}

/** Promises that did not hold, a death of the process included. */
export function broken({ scenario, outcomes }: ScenarioResult, promised: string): string[] {
  const ours = outcomes[promised]
  if (ours === undefined) return []
  if (ours.kind === 'died') return [`${scenario.name}: the process died (${ours.how})`]
  return ours.report.claims
    .filter(({ holds }) => !holds)
    .map(({ claim, seen }) => `${scenario.name}: ${claim}: ${seen}`)
}
