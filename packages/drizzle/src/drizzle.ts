import type { Pool } from '@pg-lifeguard/core'
import { adapterPool, assertKnownOptions, type OptionNames } from '@pg-lifeguard/core/adapter'
import * as orm from 'drizzle-orm'
import { drizzle as drizzleOnClient, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { OpenTransactionClient, OpenTransactionPool } from './open-transaction-client.js'
import { type Link, remember } from './pool-of.js'

/** Everything that `drizzle` of `drizzle-orm/node-postgres` can be told. */
type AnyConfig = NonNullable<Parameters<typeof drizzleOnClient.mock>[0]>

/**
 * What a database is typed by: the tables of `schema` up to Drizzle 0.45, the `relations` of Drizzle 1.0. It follows the
 * installed version.
 */
export type Schema = 'relations' extends keyof AnyConfig
  ? FieldOf<AnyConfig, 'relations'>
  : FieldOf<AnyConfig, 'schema'>

type FieldOf<T, K extends string> = K extends keyof T ? NonNullable<T[K]> : never

/** What stands for no schema in the installed version of Drizzle. */
type NoSchema = NodePgDatabase extends NodePgDatabase<infer S> ? S : never

/** Drizzle's own options: `schema` and `casing`, or `relations`; `logger`, `cache`. */
export type DrizzleOptions<S extends Schema = NoSchema> = orm.DrizzleConfig<S> &
  Pick<AnyConfig, Extract<keyof AnyConfig, 'codecs'>>

/** Drizzle's own database for `node-postgres`, with the pool as a `pg.Pool` in `$client`. */
export type LifeguardDatabase<S extends Schema = NoSchema> = NodePgDatabase<S> & {
  readonly $client: ReturnType<Pool['asPgPool']>
}

/**
 * Makes a database of Drizzle on a pool of Lifeguard: a real NodePgDatabase. Its queries join the transaction that is
 * open on the pool around them; its own `db.transaction()` is a savepoint there.
 *
 * @throws InvalidArgumentError for what is no pool, and for an option that the installed version of Drizzle does not have
 * @example
 * ```ts
 * import { createPool, drizzle } from '@pg-lifeguard/drizzle'
 * import { integer, pgTable, text } from 'drizzle-orm/pg-core'
 *
 * const item = pgTable('item', { id: integer('id').primaryKey(), name: text('name').notNull() })
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * const db = drizzle(pool, { schema: { item } })
 * console.log(await db.select().from(item))
 * ```
 */
export function drizzle<S extends Schema = NoSchema>(pool: Pool, options?: DrizzleOptions<S>): LifeguardDatabase<S> {
  const own = adapterPool(pool)
  assertKnownOptions(options, names)
  // As a field: Drizzle 1.0 ignores a pool in the first place, and opens one of its own.
  const on = (client: object): NodePgDatabase<S> => drizzleOnClient({ ...options, client } as never)
  const pgPool = pool.asPgPool()
  const open = new OpenTransactionPool()
  let inside: NodePgDatabase<S> | undefined
  const link: Link = {
    pool,
    adopt: (transaction, fn) => {
      inside ??= on(open)
      const db = inside
      const client = new OpenTransactionClient(own, transaction)
      remember(client, link)
      return open.adopt<never>(client, (begin) => db.transaction(begin as never), fn)
    },
  }
  remember(pgPool, link)
  return on(pgPool) as LifeguardDatabase<S>
}

/**
 * What the installed version takes, as Drizzle drops any other name in silence: a typing error in `schema` is a database
 * without its tables, and a `schema` on Drizzle 1.0 one without its relations. Tests of types hold both lists complete.
 */
const names: OptionNames = new Set(
  'defineRelations' in orm
    ? ['relations', 'codecs', 'jit', 'paramsInErrors', 'logger', 'cache']
    : ['schema', 'casing', 'logger', 'cache'],
)
