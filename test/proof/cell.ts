import type { FaultName } from './faults.js'

/** When the fault strikes, in the order of a transaction's life. */
export const moments = [
  'before BEGIN',
  'mid-transaction',
  'before COMMIT',
  'during COMMIT',
  'before the answer to COMMIT',
] as const
export type Moment = (typeof moments)[number]

/** How the transaction was begun. */
export const modes = ['plain', 'proveCommit', 'markerTable'] as const
export type Mode = (typeof modes)[number]

/** One transaction, what was reported to its caller, and what the server says. */
export interface Trial {
  readonly mode: Mode
  readonly operation: string
  /** `returned`, `returned after 1 retry`, or the name of the error. */
  readonly learned: string
  /** How often the server has the row that the transaction wrote. */
  readonly rows: number
}

/** All trials of one fault at one moment in one mode. */
export interface Cell {
  readonly fault: FaultName
  readonly moment: Moment
  readonly mode: Mode
  readonly trials: readonly Trial[]
}

/** An outcome of a cell, and how many trials had it. */
export interface Outcome {
  readonly learned: string
  readonly rows: number
  readonly trials: number
}

/** The different outcomes of a cell, in the order of their names. */
export function outcomesOf({ trials }: Cell): Outcome[] {
  const counted = new Map<string, Outcome>()
  for (const { learned, rows } of trials) {
    const key = `${learned} ${rows}`
    counted.set(key, { learned, rows, trials: (counted.get(key)?.trials ?? 0) + 1 })
  }
  return [...counted.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, outcome]) => outcome)
}

/** What is false in a cell, one line for each trial; nothing when all is as promised. */
export function untruths(cell: Cell): string[] {
  return cell.trials.flatMap((trial) => {
    const wrong = untruth(cell, trial)
    return wrong === undefined ? [] : [`${cell.fault}, ${cell.moment}, ${cell.mode}: ${wrong} (${trial.operation})`]
  })
}

function untruth({ fault, mode }: Cell, { learned, rows }: Trial): string | undefined {
  if (rows > 1) return `applied ${rows} times, reported to the caller: ${learned}`
  if (learned.startsWith('returned')) return rows === 1 ? undefined : `reported as committed (${learned}), and missing`
  if (learned !== 'CommitUnknownError')
    return rows === 0 ? undefined : `reported as rolled back (${learned}), and committed`
  // Across a promotion transaction ids prove nothing: without a marker table that is documented as unknown.
  const mayBeUnknown = mode === 'plain' || (mode === 'proveCommit' && fault === 'promote')
  return mayBeUnknown ? undefined : 'unknown, although a server was there that knows'
}
