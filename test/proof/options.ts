import { type Given, readArguments, UsageError, wholeNumber } from '../support/usage.js'
import { type Moment, moments } from './cell.js'
import { type FaultName, faultNames } from './faults.js'

/** What to prove, and how to show it. */
export interface Options {
  readonly faults: readonly FaultName[]
  readonly moments: readonly Moment[]
  readonly trials: number
  readonly json: boolean
}

const help = `npx -y pnpm@12 lab proof [options]

Brings transactions to a moment of their life, lets a fault strike them, and compares what was reported to their callers with
what the server did. A run of all cells writes its table into docs/what-happened-to-my-transaction.md.

  --trials N         transactions in each cell, 1 to 100 (default 30)
  --cell FAULT       this fault alone; FAULT/MOMENT for one moment of it, such as 'cut/before COMMIT'
  --json             [{ fault, moment, mode, outcomes: [{ learned, rows, trials }], untruths }] on standard output
  --help             this text

Faults: ${faultNames.join(', ')}
Moments: ${moments.join(', ')}
`

/** What the command takes. */
export const usage = {
  help,
  options: { trials: { type: 'string' }, cell: { type: 'string' }, json: { type: 'boolean' } },
} as const

/** @throws UsageError */
export function parseOptions(args: readonly string[]): Options {
  return optionsFrom(readArguments(args, usage).values)
}

/** @throws UsageError */
export function optionsFrom({ json = false, cell, trials = '30' }: Given<typeof usage>['values']): Options {
  const [fault, moment] = cell?.split('/') ?? []
  if (fault !== undefined && !faultNames.some((name) => name === fault)) {
    throw new UsageError(`--cell ${cell}: no such fault; there are ${faultNames.join(', ')}`)
  }
  if (moment !== undefined && !moments.some((name) => name === moment)) {
    throw new UsageError(`--cell ${cell}: no such moment; there are ${moments.join(', ')}`)
  }
  return {
    faults: faultNames.filter((name) => fault === undefined || name === fault),
    moments: moments.filter((name) => moment === undefined || name === moment),
    trials: wholeNumber('--trials', trials, 1, 100),
    json,
  }
}
