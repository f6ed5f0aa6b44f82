import { InvalidArgumentError, type Pool } from '@pg-lifeguard/core'
import type { QueryExecutorProvider } from 'kysely'
import { LifeguardAdapter } from './lifeguard-adapter.js'

/** A Kysely instance of any schema, or a transaction of one. */
export type AnyKysely = QueryExecutorProvider

/**
 * The pool behind a Kysely instance; its transactions and plugged copies have the same one.
 *
 * @throws InvalidArgumentError when it is on another dialect
 */
export function poolOf(db: AnyKysely): Pool {
  const { adapter } = db.getExecutor()
  if (adapter instanceof LifeguardAdapter) return adapter.pool
  throw new InvalidArgumentError('db', 'on another dialect', 'a Kysely made with new LifeguardDialect(pool)')
}
