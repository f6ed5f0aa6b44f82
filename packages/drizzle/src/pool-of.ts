import { type Transaction as CoreTransaction, InvalidArgumentError, type Pool } from '@pg-lifeguard/core'

/** A database of Drizzle, or one of its transactions, of whatever schema. */
export interface AnyDatabase {
  transaction(fn: never, ...rest: never[]): Promise<unknown>
}

/** What Drizzle calls its transactions on this database: the type of `tx` in `db.transaction((tx) => ...)`. */
export type TransactionOf<DB extends AnyDatabase> = Parameters<DB['transaction']>[0] extends (
  tx: infer Tx,
) => Promise<unknown>
  ? Tx
  : never

/** A pool with the way to make a transaction object of Drizzle that stands for one that the core has begun. */
export interface Link {
  readonly pool: Pool
  adopt(transaction: CoreTransaction, fn: (tx: never) => Promise<unknown>): Promise<unknown>
}

/**
 * Where the link is, on what Drizzle runs its statements on: the facade of a pool, or what stands for an open transaction
 * of it. Known to every copy of this package: a program may load the one for ES modules and the one for CommonJS.
 */
const linked = Symbol.for('@pg-lifeguard/drizzle:link')

/** Remembers which pool is behind a client of Drizzle's. */
export function remember(client: object, link: Link): void {
  Object.defineProperty(client, linked, { value: link, configurable: true })
}

function linkBehind(client: object | undefined): Link | undefined {
  return (client as { readonly [linked]?: Link } | undefined)?.[linked]
}

/** @throws InvalidArgumentError for a database that does not come from this package */
export function linkOf(db: AnyDatabase): Link {
  // The session is a public field of Drizzle's, its client is not; both majors call it so.
  const { client } = (db as { readonly _?: { readonly session?: { readonly client?: object } } })._?.session ?? {}
  const link = linkBehind(client)
  if (link !== undefined) return link
  throw new InvalidArgumentError(
    'db',
    'not on a pool of Lifeguard that is known',
    'a database made with drizzle(pool) of @pg-lifeguard/drizzle, or the tx of withTransaction; not that of db.transaction()',
  )
}

/**
 * The pool behind a database of `drizzle(pool)`, and behind the `tx` of `withTransaction`.
 *
 * @throws InvalidArgumentError for any other
 */
export function poolOf(db: AnyDatabase): Pool {
  return linkOf(db).pool
}

/** Whether a query is known to run elsewhere; of one written with `sql` that cannot be told before it is run. */
export function isOfAnother(pool: Pool, query: unknown): boolean {
  // As with a database, its session is in view, and the client of that is not; both majors call them so.
  const { client } = (query as { readonly session?: { readonly client?: object } }).session ?? {}
  return client !== undefined && linkBehind(client)?.pool !== pool
}
