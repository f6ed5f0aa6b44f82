/** A SQLSTATE is five digits or capital letters; Node's socket codes (EPIPE is five capitals too) start with an E. */
const sqlState = /^(?!E[A-Z]+$)[0-9A-Z]{5}$/

/** Deep enough for every ORM seen, and an end to a chain that bites its tail. */
const deepest = 8

interface MaybeCoded {
  readonly code?: unknown
  readonly originalCode?: unknown
  readonly cause?: unknown
  readonly meta?: { readonly driverAdapterError?: unknown } | undefined
}

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

/** The innermost object that carries the SQLSTATE, with it: `severity` and `routine` stand beside it there. */
export function errorWithSqlState(error: unknown): { readonly state: string; readonly error: object } | undefined {
  let current: unknown = error
  for (let depth = 0; depth < deepest && typeof current === 'object' && current !== null; depth++) {
    const { code, originalCode, cause, meta } = current as MaybeCoded
    if (typeof originalCode === 'string' && sqlState.test(originalCode)) return { state: originalCode, error: current }
    if (typeof code === 'string' && sqlState.test(code) && !isPrismaCode(code)) return { state: code, error: current }
    current = meta?.driverAdapterError ?? cause
  }
  return undefined
}

/** Prisma's own codes (P2034) have the form of a SQLSTATE of class P2, which PostgreSQL does not have. */
function isPrismaCode(code: string): boolean {
  return /^P[1-6]\d{3}$/.test(code)
}
