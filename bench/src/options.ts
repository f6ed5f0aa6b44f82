import { parseArgs } from 'node:util'
import type { Case } from './case.js'
import { cases } from './cases.js'
import type { Pace } from './harness.js'

/** What to run, and how to show it. */
export interface Options {
  readonly cases: readonly Case[]
  readonly pace: Pace
  /** Whether programs outside of Node are measured too, where a case has some. */
  readonly limits: boolean
  readonly json: boolean
  /** Where to write the picture; undefined for nowhere. */
  readonly svg: string | undefined
  readonly help: boolean
}

export const help = `npx -y pnpm@12 lab bench [options]

  --quick         a smaller choice of cases and shorter readings: under a minute, for a first look only
  --case NAME     this case, or those whose name begins with NAME-; can be given several times
  --rounds N      readings of each peer in each case, 1 to 1000 (default 5; with --quick 3)
  --limits        in the cases of rows also psql, pgbench and pgx, outside of Node: those that are installed
  --json          [{ case, unit, rounds, results, ratio, ratios, subject, yardstick, machine }] on standard output
  --svg FILE      the same as a picture
  --help          this text

Cases: ${cases.map(({ name }) => name).join(', ')}
`

/** What the user asked for cannot be done; the message is one line. */
export class UsageError extends Error {}

/** @throws UsageError */
export function parseOptions(args: readonly string[]): Options {
  const { values } = parse(args)
  const { quick = false, json = false, limits = false, help: wantsHelp = false } = values
  const rounds = values.rounds === undefined ? (quick ? 3 : 5) : Number(values.rounds)
  if (!/^\d+$/.test(values.rounds ?? '1') || rounds < 1 || rounds > 1_000) {
    throw new UsageError(`--rounds ${values.rounds}: a whole number from 1 to 1000 is needed`)
  }
  const names = values.case ?? []
  for (const name of names) {
    if (!cases.some((one) => matches(one, name))) {
      throw new UsageError(`--case ${name}: no such case; there are ${cases.map((one) => one.name).join(', ')}`)
    }
  }
  const chosen =
    names.length > 0
      ? cases.filter((one) => names.some((name) => matches(one, name)))
      : cases.filter((one) => !(quick && one.slow === true))
  const pace = quick ? { rounds, roundMs: 80, warmUpMs: 150 } : { rounds, roundMs: 400, warmUpMs: 500 }
  return { cases: chosen, pace, limits, json, svg: values.svg, help: wantsHelp }
}

function matches({ name }: Case, asked: string): boolean {
  return name === asked || name.startsWith(`${asked}-`)
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      // `pnpm lab bench -- --quick` hands the dashes on.
      args: args[0] === '--' ? args.slice(1) : [...args],
      options: {
        quick: { type: 'boolean' },
        json: { type: 'boolean' },
        limits: { type: 'boolean' },
        help: { type: 'boolean' },
        svg: { type: 'string' },
        case: { type: 'string', multiple: true },
        rounds: { type: 'string' },
      },
    })
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split('. ')[0]}; --help lists the options`)
  }
}
