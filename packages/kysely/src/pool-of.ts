import { InvalidOptionError, type Pool } from '@pg-lifeguard/core'
import type { Kysely } from 'kysely'
import { LifeguardAdapter } from './lifeguard-adapter.js'

/** The pool behind a Kysely instance; its transactions and plugged copies have the same one. */
export function poolOf<DB>(db: Kysely<DB>): Pool {
  const { adapter } = db.getExecutor()
  if (adapter instanceof LifeguardAdapter) return adapter.pool
  throw new InvalidOptionError('db', 'on another dialect', 'a Kysely made with new LifeguardDialect(pool)')
}
