import { createPool, type Pool } from '@pg-lifeguard/core'

/** Nothing to set up: a call that has waited too long in an overload is refused at once, and the others are served in time. */
export function openPool(connectionString: string, max: number): Pool {
  return createPool({ connectionString, max })
}

/** A caller with little patience. */
export async function ask(pool: Pool, queryMs: number, patienceMs: number): Promise<void> {
  await pool.query('select pg_sleep($1)', [queryMs / 1_000], { timeoutMs: patienceMs })
}
