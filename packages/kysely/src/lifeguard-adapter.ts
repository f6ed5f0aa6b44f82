import type { Pool } from '@pg-lifeguard/core'
import { PostgresAdapter } from 'kysely'

/** PostgreSQL's adapter, which carries the pool: the one part of a dialect that every copy of a Kysely instance shows. */
export class LifeguardAdapter extends PostgresAdapter {
  readonly pool: Pool

  constructor(pool: Pool) {
    super()
    this.pool = pool
  }
}
