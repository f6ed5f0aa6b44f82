/** Deep enough for every ORM seen, and an end to a chain that bites its tail. */
const deepest = 8

/**
 * A field of what somebody threw: undefined also where reading it throws. A callback may throw anything, an object with
 * getters or a Proxy that is revoked among it, and what cannot be read says nothing.
 */
export function fieldOf(thrown: object, name: string): unknown {
  try {
    return (thrown as Readonly<Record<string, unknown>>)[name]
  } catch {
    return undefined
  }
}

/**
 * An error and what it says it was caused by, outermost first, wherever an ORM put it: at `cause`, or in Prisma's
 * errors at `meta.driverAdapterError`.
 */
export function causeChain(error: unknown): object[] {
  const chain: object[] = []
  let current = error
  while (typeof current === 'object' && current !== null && chain.length < deepest) {
    chain.push(current)
    const meta = fieldOf(current, 'meta')
    const ofDriver = typeof meta === 'object' && meta !== null ? fieldOf(meta, 'driverAdapterError') : undefined
    current = ofDriver ?? fieldOf(current, 'cause')
  }
  return chain
}

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
