import type { AdapterPool } from '@pg-lifeguard/core/adapter'
import type { CompiledQuery } from 'kysely'

/** Queries of rows that Kysely builds; everything else is raw SQL, or changes the schema. */
const ofRows: ReadonlySet<string> = new Set(['InsertQueryNode', 'UpdateQueryNode', 'DeleteQueryNode', 'MergeQueryNode'])

/**
 * Whether a query needs nothing of its session and leaves nothing there, so that it may run on whatever connection is
 * free, beside others on one, or inside `pool.read` on a replica. Kysely asks for a connection in the same way for a
 * single query and for `db.connection()`: there a query that does not stand alone gets a session, which is then kept.
 *
 * A text that only reads does; so does an INSERT, UPDATE, DELETE or MERGE whose pieces of raw SQL and functions would be
 * harmless in one that only reads. Whatever is not known to be harmless does not.
 */
export function standsAlone(pool: AdapterPool, query: CompiledQuery): boolean {
  if (pool.isReadOnly(query.sql)) return true
  return ofRows.has(query.query.kind) && isHarmless(pool, query.query)
}

interface Node {
  readonly kind?: unknown
  readonly sqlFragments?: readonly string[]
  readonly func?: string
}

/** Walks the whole tree: raw SQL and functions hide in selections, values, conditions and CTEs. */
function isHarmless(pool: AdapterPool, value: object): boolean {
  const { kind, sqlFragments, func } = value as Node
  // What a piece is part of makes no difference to the rule: it looks at each word and each call.
  if (kind === 'RawNode' && !pool.isReadOnly(`select ${sqlFragments?.join(' $1 ')}`)) return false
  if ((kind === 'FunctionNode' || kind === 'AggregateFunctionNode') && !pool.isReadOnly(`select ${func}()`))
    return false
  // A value is the user's own, and a parameter, whatever it is.
  if (kind === 'ValueNode' || kind === 'PrimitiveValueListNode') return true
  for (const part of Object.values(value)) {
    if (typeof part === 'object' && part !== null && !isHarmless(pool, part)) return false
  }
  return true
}
