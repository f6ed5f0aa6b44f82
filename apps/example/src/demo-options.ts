import { parseArgs } from 'node:util'
import { allWays, type Way } from './all-ways.js'
import type { Crowd } from './sale.js'

/** What the command line asks for. */
export interface DemoOptions extends Crowd {
  readonly ways: readonly Way[]
  readonly runs: number
  readonly json: boolean
  /** Of the embedded server; undefined for a free one. */
  readonly port: number | undefined
}

/** The command line cannot be understood; the message is one line for the person who typed it. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export const help = `The ticket office: many buyers want one of a few tickets, all at once, through Kysely on
Lifeguard. Five ways to sell; one of them is wrong, as you will see.

  pnpm demo [options]

  --buyers N     people who come at the same moment   (500)
  --tickets N    tickets there are, fewer than buyers (100)
  --way NAME     only this way; may be repeated       (all)
                 ${allWays.map(({ name }) => name).join(', ')}
  --runs N       sell it all so many times            (1)
  --json         one JSON document for programs, see apps/example/README.md
  --port N       port of the embedded PostgreSQL      (a free one)
  -h, --help     this text

DATABASE_URL=postgres://user:password@host:5432/database uses your server in place of the embedded
one: in a new schema with a random name, which is dropped at the end. NO_COLOR=1 for no colours.

Exit code: 0 when the naive way oversold and every other way sold exactly the tickets, in every
run; 1 when not, or when there is no database; 2 when the options make no sense.
`

/**
 * Reads the command line.
 *
 * @throws UsageError
 */
export function parseOptions(args: readonly string[]): DemoOptions | 'help' {
  // pnpm hands `demo -- --json` on with the dashes.
  const values = read(args[0] === '--' ? args.slice(1) : args)
  if (values.help === true) return 'help'
  const buyers = whole('--buyers', values.buyers, 2, 10_000) ?? 500
  const tickets = whole('--tickets', values.tickets, 1, 10_000) ?? 100
  if (buyers <= tickets) {
    throw new UsageError(`there must be more buyers than tickets to fight over, not ${buyers} for ${tickets}`)
  }
  return {
    buyers,
    tickets,
    ways: waysOf(values.way ?? []),
    runs: whole('--runs', values.runs, 1, 1_000) ?? 1,
    json: values.json === true,
    port: whole('--port', values.port, 1, 65_535),
  }
}

function read(args: readonly string[]) {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        buyers: { type: 'string' },
        tickets: { type: 'string' },
        way: { type: 'string', multiple: true },
        runs: { type: 'string' },
        json: { type: 'boolean' },
        port: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    })
    return values
  } catch (cause) {
    // The first sentence says what is wrong, the others how parseArgs itself could be used.
    const said = cause instanceof Error ? cause.message : String(cause)
    throw new UsageError(said.split(/\.\s/)[0], { cause })
  }
}

function whole(option: string, value: string | undefined, least: number, most: number): number | undefined {
  if (value === undefined) return undefined
  const number = Number(value)
  if (/^\d+$/.test(value) && number >= least && number <= most) return number
  throw new UsageError(`${option} must be a whole number from ${least} to ${most}, not '${value}'`)
}

function waysOf(names: readonly string[]): readonly Way[] {
  const unknown = names.find((name) => !allWays.some((way) => way.name === name))
  if (unknown !== undefined) {
    throw new UsageError(`--way must be one of ${allWays.map(({ name }) => name).join(', ')}, not '${unknown}'`)
  }
  return names.length === 0 ? allWays : allWays.filter(({ name }) => names.includes(name))
}
