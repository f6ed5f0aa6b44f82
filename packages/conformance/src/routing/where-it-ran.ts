import assert from 'node:assert/strict'
import type { Pool, RouteReason } from '@pg-lifeguard/core'
import { until } from '../expectations.js'
import type { Destination, RoutedQuery } from './routed-query.js'

/** A statement that a server has answered. */
export interface Executed {
  readonly on: Destination
  readonly text: string
}

/** What was seen of a piece of work: its statements, and what the cluster said of those that it sent by itself. */
export interface Seen {
  readonly executed: readonly Executed[]
  readonly reasons: readonly RouteReason[]
}

/**
 * Runs work as a line of its own, and returns on which server each of its statements was executed: by the address that the
 * connection leads to. What the pool does after it, such as asking where in the log a write is, is waited for: else it
 * would be taken for a statement of what is run next.
 *
 * @param replica `127.0.0.1:5433`
 */
export async function whereItRan(pool: Pool, replica: string, run: () => Promise<unknown>): Promise<Seen> {
  const executed: Executed[] = []
  const misnamed: string[] = []
  const reasons: RouteReason[] = []
  const stops = [
    pool.on('query', ({ address, role, text }) => {
      const on = address === replica ? 'replica' : 'primary'
      executed.push({ on, text })
      if (role !== on) misnamed.push(`${address} was called the ${role}`)
    }),
    pool.on('route', ({ reason }) => reasons.push(reason)),
  ]
  try {
    await pool.withCausality(undefined, async () => {
      await run()
      await pool.causalToken()
    })
    await until(() => pool.stats().pool.active === 0, 'all connections to be given back')
  } finally {
    for (const stop of stops) stop()
  }
  // What the pool says of a host is not what decides, but it has to be true.
  assert.deepEqual(misnamed, [])
  return { executed, reasons }
}

/**
 * Runs one query inside of `pool.read`, and holds where its statements ran against where it belongs: every one of a read
 * on the replica, none of anything else there. What went to the primary must have gone there for what it is, and not
 * because the replica was not to be had.
 *
 * @throws AssertionError
 */
export async function checkRoute<Db>(pool: Pool, replica: string, db: Db, routed: RoutedQuery<Db>): Promise<void> {
  const { executed, reasons } = await whereItRan(pool, replica, () => pool.read(async () => await routed.run(db)))
  assert.notEqual(executed.length, 0, `no statement was seen of '${routed.name}'`)
  assert.deepEqual(
    executed.filter(({ on }) => on !== routed.destination),
    [],
  )
  const fit: RouteReason = routed.destination === 'replica' ? 'fresh' : 'not-read-only'
  assert.deepEqual(
    reasons.filter((reason) => reason !== fit),
    [],
  )
}
