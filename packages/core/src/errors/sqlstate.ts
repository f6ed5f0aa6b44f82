import { causeChain, fieldOf } from './cause-chain.js'

/** A SQLSTATE is five digits or capital letters; Node's socket codes (EPIPE is five capitals too) start with an E. */
const sqlState = /^(?!E[A-Z]+$)[0-9A-Z]{5}$/

/**
 * The SQLSTATE of an error, wherever an ORM put it: `pg` and Kysely at `code`, Drizzle at `cause.code`, Prisma at
 * `meta.driverAdapterError.cause.originalCode` or `cause.originalCode`. Undefined when no server said anything.
 *
 * @example
 * ```ts
 * import { createPool, sqlStateOf } from '@pg-lifeguard/core'
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * await pool.query('insert into customer (email) values ($1)', ['ada@example.org']).catch((error: unknown) => {
 *   if (sqlStateOf(error) === '23505') return 'already there'
 *   throw error
 * })
 * ```
 */
export function sqlStateOf(error: unknown): string | undefined {
  return errorWithSqlState(error)?.state
}

/** The first object in the chain that carries a SQLSTATE, with it: `severity` and `routine` stand beside it there. */
export function errorWithSqlState(error: unknown): { readonly state: string; readonly error: object } | undefined {
  for (const one of causeChain(error)) {
    const state = sqlStateAt(one)
    if (state !== undefined) return { state, error: one }
  }
  return undefined
}

/** The SQLSTATE that this very object carries, its causes left aside. */
export function sqlStateAt(error: object): string | undefined {
  const originalCode = fieldOf(error, 'originalCode')
  if (typeof originalCode === 'string' && sqlState.test(originalCode)) return originalCode
  const code = fieldOf(error, 'code')
  if (typeof code === 'string' && sqlState.test(code) && !isPrismaCode(code)) return code
  return undefined
}

/** Prisma's own codes (P2034) have the form of a SQLSTATE of class P2, which PostgreSQL does not have. */
function isPrismaCode(code: string): boolean {
  return /^P[1-6]\d{3}$/.test(code)
}
