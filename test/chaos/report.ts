import type { Report } from './chaos.js'

/** What a report comes down to. */
export interface Summary {
  readonly seed: number
  readonly seconds: number
  /** Transfers of each isolation level by what was reported to the worker. */
  readonly transfers: Readonly<Record<string, Readonly<Record<string, number>>>>
  readonly errors: Readonly<Record<string, number>>
  readonly retries: Readonly<Record<string, number>>
  readonly ambiguousCommits: Readonly<Record<string, number>>
  readonly sabotage: Readonly<Record<string, number>>
  readonly looks: number
  readonly violations: readonly string[]
}

export function summarise({ transfers, sabotage, ambiguous, seed, seconds, looks, violations }: Report): Summary {
  const byIsolation: Record<string, Record<string, number>> = {}
  for (const isolation of new Set(transfers.map((transfer) => transfer.isolation))) {
    byIsolation[isolation] = count(
      transfers.filter((transfer) => transfer.isolation === isolation).map(({ reported }) => reported),
    )
  }
  return {
    seed,
    seconds,
    transfers: byIsolation,
    errors: count(transfers.flatMap(({ error }) => error ?? [])),
    retries: count(transfers.flatMap(({ retries }) => retries)),
    ambiguousCommits: Object.fromEntries(ambiguous),
    sabotage: Object.fromEntries(sabotage),
    looks,
    violations,
  }
}

/** The summary as lines of text, one subject each. */
export function text(summary: Summary): string {
  const lines: [string, string][] = Object.entries(summary.transfers).map(([isolation, reported]) => [
    isolation,
    show(reported),
  ])
  lines.push(
    ['errors', show(summary.errors)],
    ['retries', show(summary.retries)],
    ['lost answers to COMMIT', show(summary.ambiguousCommits)],
    ['broken on the way', show(summary.sabotage)],
    ['sum of all accounts', `looked at ${summary.looks} times on the way, and at the end`],
    ['violations', summary.violations.length === 0 ? 'none' : String(summary.violations.length)],
  )
  const width = Math.max(...lines.map(([subject]) => subject.length))
  return [
    `seed ${summary.seed}, ${summary.seconds} s`,
    ...lines.map(([subject, said]) => `${subject.padEnd(width)}  ${said}`),
    ...summary.violations.slice(0, 20),
    '',
  ].join('\n')
}

function count(values: readonly string[]): Record<string, number> {
  const counted: Record<string, number> = {}
  for (const value of values) counted[value] = (counted[value] ?? 0) + 1
  return counted
}

function show(counted: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counted).map(([what, n]) => `${n} ${what}`)
  return parts.length === 0 ? 'none' : parts.join(', ')
}
