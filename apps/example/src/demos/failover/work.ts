import type { Pool } from '@pg-lifeguard/core'

/** What goes on while the primary is lost: reads, and writes that must be there once and only once. */
export interface Work<Db> {
  count(pool: Pool, db: Db): Promise<number>
  add(pool: Pool, db: Db, id: number): Promise<void>
}
