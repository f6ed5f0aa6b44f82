import type { DatabaseServer } from './database-server.js'
import type { Orm } from './orm.js'
import type { Crowd, SaleResult } from './sale.js'

/** Everything that came of the demo; `--json` prints it as it is. Described in README.md. */
export interface Report extends Crowd {
  readonly formatVersion: 1
  /** Whether the naive way oversold and every other way sold exactly the tickets, each time. */
  readonly ok: boolean
  /** What `ways` are written with. */
  readonly orm: Orm
  readonly runs: number
  /** The size of the pool that all buyers share. */
  readonly poolSize: number
  readonly server: { readonly kind: DatabaseServer['kind']; readonly version: string }
  readonly ways: readonly WayReport[]
  /** One of the right ways through the other ORMs and in raw SQL; empty when ways or an ORM were asked for. */
  readonly others: readonly WayReport[]
}

/** Every sale that was made one way. */
export interface WayReport {
  readonly name: string
  readonly orm: Orm
  /** Whether it has to oversell; it must not otherwise. */
  readonly oversells: boolean
  readonly ok: boolean
  readonly sales: readonly SaleResult[]
}

/** What is wrong, each in one line. */
export function problemLines({ ways, others, orm: main, runs }: Report): string[] {
  return [...ways, ...others].flatMap(({ name, orm, sales }) => {
    const title = orm === main ? name : `${name}, ${orm}`
    return sales.flatMap(({ problems }, run) =>
      problems.map((problem) => (runs === 1 ? `${title}: ${problem}` : `${title}, run ${run + 1}: ${problem}`)),
    )
  })
}
