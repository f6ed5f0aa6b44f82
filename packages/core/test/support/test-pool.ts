import { onTestFinished } from 'vitest'
import { createPool, type Pool, type PoolOptions } from '../../src/index.js'

const open: Pool[] = []

/** A pool that is ended behind the test, whatever the test does with it. */
export function testPool(connectionString: string, options: Omit<PoolOptions, 'connectionString'> = {}): Pool {
  const pool = createPool({ connectionString, max: 5, ...options })
  if (open.length === 0) onTestFinished(endPools)
  open.push(pool)
  return pool
}

/** Ends the pools of the test now, and not when all other hooks behind it have succeeded. */
export async function endPools(): Promise<void> {
  await Promise.all(open.splice(0).map((pool) => pool.end({ timeoutMs: 5_000 })))
}

/** Waits until `condition` gives something other than false or undefined; fails loudly after 25 seconds, before the test is over. */
export async function eventually<T>(what: string, condition: () => T | Promise<T>): Promise<NonNullable<T>> {
  const until = performance.now() + 25_000
  for (;;) {
    const value = await condition()
    if (value !== undefined && value !== null && value !== false) return value as NonNullable<T>
    if (performance.now() > until) throw new Error(`did not happen within 25 s: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** On a machine that is busy the answer of the server may come too late; the outcome is unknown, and it is tried again. */
export async function answeredInTime(attempt: () => Promise<unknown>): Promise<Error> {
  return await eventually('the answer of the server comes in time', async () => {
    const error: Error & { readonly outcome?: unknown; readonly code?: string } = await rejection(attempt())
    // Nor is there a connection for the next attempt before the one before has been cancelled.
    if (error.outcome === 'unknown' || error.code === 'LIFEGUARD_ACQUIRE_TIMEOUT') return undefined
    return error
  })
}

/** What a promise was rejected with; fails when it was not. */
export async function rejection(promise: Promise<unknown>): Promise<Error & { readonly code?: string }> {
  try {
    await promise
  } catch (error) {
    if (error instanceof Error) return error
    throw new Error(`rejected with something that is no error: ${String(error)}`)
  }
  throw new Error('was expected to be rejected, but was not')
}
