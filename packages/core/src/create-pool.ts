import { systemClock } from './base/clock.js'
import { Emitter } from './base/emitter.js'
import { systemRandom } from './base/random.js'
import { summaryOf } from './errors/error-summary.js'
import { Host } from './host/host.js'
import { HostWatch } from './host/host-watch.js'
import { RetryBudget } from './policy/retry-budget.js'
import type { LeakReport } from './pool/resource-factory.js'
import type { PoolEnvironment } from './pool/resource-pool.js'
import { Pool, type PoolEvents } from './pool.js'
import { defaultListen, defaultPoolLocks, type PoolOptions, resolveOptions, withoutUndefined } from './pool-options.js'
import { Ambient } from './session/ambient.js'
import { Listeners } from './session/listen/listeners.js'
import { LockGrants } from './session/lock/lock-grants.js'
import { LockNames } from './session/lock/lock-names.js'
import { LockSessions } from './session/lock/lock-sessions.js'
import type { LockEnvironment } from './session/lock/with-lock.js'
import { resolveWatchOptions } from './watch-options.js'
import { Destination } from './wire/destination.js'

/**
 * Makes a pool. Nothing is connected before the first use, unless `min` asks for it. This is the one place where the
 * parts of Lifeguard are put together.
 *
 * @throws InvalidOptionError at once, naming the option, the value and what is allowed
 * @example
 * ```ts
 * import { createPool } from '@pg-lifeguard/core'
 *
 * await using pool = createPool({ connectionString: process.env['DATABASE_URL'], max: 10 })
 * const { rows } = await pool.query('select now() as now')
 * console.log(rows)
 * ```
 */
export function createPool(given: PoolOptions = {}): Pool {
  const { options, limits, connect } = resolveOptions(given)
  const name = options.name ?? 'lifeguard'
  const environment: PoolEnvironment = {
    clock: options.environment?.clock ?? systemClock,
    random: options.environment?.random ?? systemRandom,
  }
  const events = new Emitter<PoolEvents>({ prefix: 'pg-lifeguard', stamp: { pool: name }, describe: summaryOf })
  const destination = new Destination(connect, name, environment.clock, environment.random)
  const watch = new HostWatch(
    destination.where,
    {
      ...resolveWatchOptions(options),
      pool: name,
      role: 'primary',
      why: 'the only host',
      events,
      onLeak: options.onLeak ?? warnOfLeak(name),
    },
    environment,
  )
  const host = new Host(destination, limits, environment, watch, options.resetOnRelease)
  const { maxConnections, heartbeatMs, selfTest } = { ...defaultPoolLocks, ...withoutUndefined(options.locks ?? {}) }
  // Locks leave at least half of the pool to the work that is done under them.
  const most = Math.max(1, Math.min(maxConnections, Math.floor(limits.max / 2)))
  const sessions = new LockSessions(host, most, {
    everyMs: heartbeatMs,
    boundMs: heartbeatMs,
  })
  const lockNames = new LockNames()
  const session: LockEnvironment = {
    grants: new LockGrants(host, sessions, lockNames, selfTest),
    lockNames,
    host,
    ambient: new Ambient(environment.clock),
    retryBudget: new RetryBudget(options.retryBudget),
    events,
    counts: { retries: 0 },
  }
  const listeners = new Listeners(host, session.ambient, {
    heartbeatMs: options.listen?.heartbeatMs ?? defaultListen.heartbeatMs,
    startTimeoutMs: limits.acquireTimeoutMs,
  })
  return new Pool(name, session, listeners)
}

function warnOfLeak(name: string): (leak: LeakReport) => void {
  return ({ heldMs, acquireStack, returned }) => {
    const held = `${Math.round(heldMs)} ms`
    process.emitWarning(
      returned
        ? `a connection of pool ${name} that seemed lost came back after ${held}`
        : `a connection of pool ${name} has been held for ${held}; it was acquired here:\n${acquireStack}`,
      { type: 'LifeguardLeakWarning' },
    )
  }
}
