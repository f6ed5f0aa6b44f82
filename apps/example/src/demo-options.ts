import { parseArgs } from 'node:util'
import { type DemoName, demoNames } from './demo-names.js'
import { type Orm, orms } from './orm.js'
import type { Crowd } from './sale.js'
import { type WayName, wayNames } from './way-names.js'

/** What the ticket office is asked for. */
export interface OversellOptions extends Crowd {
  readonly ways: readonly WayName[]
  /** Undefined for all ways through Kysely, and one of them through the others. */
  readonly orm: Orm | undefined
  readonly runs: number
}

/** What the command line asks for. */
export interface CommandLine extends OversellOptions {
  /** In the order in which they are shown, at least one. */
  readonly names: readonly DemoName[]
  readonly size: 'full' | 'short'
  readonly json: boolean
  /** Of the embedded primary; undefined for a free one. */
  readonly port: number | undefined
}

const crowds = { full: { buyers: 500, tickets: 100 }, short: { buyers: 150, tickets: 30 } } as const
const oversellOnly = ['buyers', 'tickets', 'way', 'runs'] as const

/** The command line cannot be understood; the message is one line for the person who typed it. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export const help = `What a pool has to get right, shown on a real PostgreSQL.

  pnpm demo                    every demo in short, about a minute
  pnpm demo NAME [options]     one of them in full
  pnpm demo all [options]      every demo in full, two to four minutes

  oversell           500 buyers want one of 100 tickets; five ways to sell
  mixed              one transaction over Kysely, Drizzle, Prisma and raw SQL
  tenants            row-level security: no tenant sees rows of another
  lost-lock          the session that holds a lock is killed
  lost-commit        the connection is cut at COMMIT, and its answer is lost
  overload           ten times more calls than the pool can serve
  stream-and-copy    a million rows streamed and copied, in constant memory
  read-your-writes   a replica that lags, and requests that see what they wrote
  failover           the primary is killed, a standby is promoted 2 s later

  --orm NAME     sql, kysely, drizzle or prisma       (all that it supports)
  --short        with smaller numbers
  --json         one JSON document for programs, see apps/example/README.md
  --port N       port of the embedded PostgreSQL      (a free one)
  -h, --help     this text

For oversell and all:
  --buyers N     buyers that ask at the same time     (500)
  --tickets N    tickets to sell, fewer than buyers   (100)
  --way NAME     only this way; may be repeated       (all)
                 ${wayNames.join(', ')}
  --runs N       number of sales                      (1)

Everything runs on PostgreSQL servers from npm, which are removed afterwards.
DATABASE_URL=postgres://user:password@host:5432/database sells the tickets on
your server: in a new schema with a random name, which is dropped at the end.
The other demos kill servers, and always use their own. NO_COLOR=1 for no
colours.

Exit code: 0 if every claim holds; 1 if one does not, or if there is no
database; 2 for invalid options.
`

/**
 * Reads the command line.
 *
 * @throws UsageError
 */
export function parseOptions(args: readonly string[]): CommandLine | 'help' {
  // pnpm hands `demo -- --json` on with the dashes.
  const { values, positionals } = read(args[0] === '--' ? args.slice(1) : args)
  if (values.help === true) return 'help'
  const asked = nameOf(positionals)
  const misplaced = oversellOnly.find((option) => values[option] !== undefined)
  if (misplaced !== undefined && asked !== 'oversell' && asked !== 'all') {
    const instead = asked === undefined ? `: pnpm demo oversell --${misplaced}` : `, not for ${asked}`
    throw new UsageError(`--${misplaced} is for oversell${instead}`)
  }
  // Without a name it is a tour, and nobody wants to wait for long.
  const size = values.short === true || asked === undefined ? 'short' : 'full'
  const buyers = whole('--buyers', values.buyers, 2, 10_000) ?? crowds[size].buyers
  const tickets = whole('--tickets', values.tickets, 1, 10_000) ?? crowds[size].tickets
  if (buyers <= tickets) {
    throw new UsageError(`there must be more buyers than tickets, not ${buyers} for ${tickets}`)
  }
  return {
    names: asked === undefined || asked === 'all' ? demoNames : [asked],
    size,
    buyers,
    tickets,
    orm: ormOf(values.orm),
    ways: waysOf(values.way ?? []),
    runs: whole('--runs', values.runs, 1, 1_000) ?? 1,
    json: values.json === true,
    port: whole('--port', values.port, 1, 65_535),
  }
}

function read(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        buyers: { type: 'string' },
        tickets: { type: 'string' },
        way: { type: 'string', multiple: true },
        runs: { type: 'string' },
        json: { type: 'boolean' },
        orm: { type: 'string' },
        short: { type: 'boolean' },
        port: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (cause) {
    // The first sentence says what is wrong, the others how parseArgs itself could be used.
    const said = cause instanceof Error ? cause.message : String(cause)
    throw new UsageError(said.split(/\.\s/)[0], { cause })
  }
}

function nameOf(positionals: readonly string[]): DemoName | 'all' | undefined {
  const [name, ...more] = positionals
  if (more.length > 0) throw new UsageError(`one demo or all, not '${positionals.join(' ')}'`)
  if (name === undefined || name === 'all') return name
  const demo = demoNames.find((known) => known === name)
  if (demo === undefined) throw new UsageError(`the demo must be one of ${demoNames.join(', ')}, all, not '${name}'`)
  return demo
}

function ormOf(name: string | undefined): Orm | undefined {
  const orm = orms.find((known) => known === name)
  if (name === undefined || orm !== undefined) return orm
  throw new UsageError(`--orm must be one of ${orms.join(', ')}, not '${name}'`)
}

function whole(option: string, value: string | undefined, least: number, most: number): number | undefined {
  if (value === undefined) return undefined
  const number = Number(value)
  if (/^\d+$/.test(value) && number >= least && number <= most) return number
  throw new UsageError(`${option} must be a whole number from ${least} to ${most}, not '${value}'`)
}

function waysOf(names: readonly string[]): readonly WayName[] {
  const unknown = names.find((name) => !wayNames.some((known) => known === name))
  if (unknown !== undefined) throw new UsageError(`--way must be one of ${wayNames.join(', ')}, not '${unknown}'`)
  return names.length === 0 ? wayNames : wayNames.filter((name) => names.includes(name))
}
