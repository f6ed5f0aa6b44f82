import { systemClock } from './base/clock.js'
import { Emitter } from './base/emitter.js'
import { systemRandom } from './base/random.js'
import { resolveClusterOptions } from './cluster/cluster-options.js'
import { createCluster, type PlaceConfig } from './cluster/create-cluster.js'
import { Host } from './host/host.js'
import { defaultResetMode } from './host/hygiene.js'
import { RetryBudget } from './policy/retry-budget.js'
import type { LeakReport } from './pool/resource-factory.js'
import type { PoolEnvironment } from './pool/resource-pool.js'
import { Pool, type PoolEvents } from './pool.js'
import { defaultPoolLocks, type PoolOptions, resolveLimits, withoutUndefined } from './pool-options.js'
import { Ambient } from './session/ambient.js'
import { LockGrants } from './session/lock/lock-grants.js'
import { LockNames } from './session/lock/lock-names.js'
import { LockSessions } from './session/lock/lock-sessions.js'
import type { LockEnvironment } from './session/lock/with-lock.js'
import { clientConfig } from './wire/client-config.js'
import { whereTo } from './wire/where-to.js'

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
export function createPool(options: PoolOptions = {}): Pool {
  const limits = resolveLimits(options)
  const name = options.name ?? 'lifeguard'
  const environment: PoolEnvironment = {
    clock: options.environment?.clock ?? systemClock,
    random: options.environment?.random ?? systemRandom,
  }
  const events = new Emitter<PoolEvents>()
  const onLeak = options.onLeak ?? warnOfLeak(name)
  const config = clientConfig(options, name)
  const { resetOnRelease: resetMode = defaultResetMode } = options
  const clusterOptions = resolveClusterOptions(options)
  const places: PlaceConfig[] = [
    { config, limits: { ...limits, min: 0 }, weight: 1 },
    ...clusterOptions.replicas.map(({ connectionString, weight, max = limits.max, min }) => ({
      config: clientConfig({ ...options, connectionString }, name),
      limits: { ...limits, max, min },
      weight,
    })),
  ]
  const { host, cluster } =
    places.length === 1
      ? { host: new Host(config, whereTo(config), limits, environment, onLeak, resetMode), cluster: undefined }
      : createCluster({ places, limits, environment, onLeak, resetMode, events, options: clusterOptions })
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
    cluster,
    ambient: new Ambient(environment.clock),
    retryBudget: new RetryBudget(options.retryBudget),
    events,
    counts: { retries: 0 },
  }
  return new Pool(name, session)
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
