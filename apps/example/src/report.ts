import type { DatabaseServer } from './database-server.js'
import type { Crowd, SaleResult } from './sale.js'

/** Everything that came of the demo; `--json` prints it as it is. Described in README.md. */
export interface Report extends Crowd {
  readonly formatVersion: 1
  /** Whether the naive way oversold and every other way sold exactly the tickets, each time. */
  readonly ok: boolean
  readonly runs: number
  /** The size of the pool that all buyers share. */
  readonly poolSize: number
  readonly server: { readonly kind: DatabaseServer['kind']; readonly version: string }
  readonly ways: readonly WayReport[]
}

/** Every sale that was made one way. */
export interface WayReport {
  readonly name: string
  /** Whether it has to oversell; it must not otherwise. */
  readonly oversells: boolean
  readonly ok: boolean
  readonly sales: readonly SaleResult[]
}

/** What is wrong, each in one line. */
export function problemLines({ ways, runs }: Report): string[] {
  return ways.flatMap(({ name, sales }) =>
    sales.flatMap(({ problems }, run) =>
      problems.map((problem) => (runs === 1 ? `${name}: ${problem}` : `${name}, run ${run + 1}: ${problem}`)),
    ),
  )
}
