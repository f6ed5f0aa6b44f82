import { systemClock } from './base/clock.js'
import { Emitter } from './base/emitter.js'
import { systemRandom } from './base/random.js'
import { createCluster, type PlaceSettings } from './cluster/create-cluster.js'
import { summaryOf } from './errors/error-summary.js'
import { assertRuntime } from './errors/unsupported-runtime-error.js'
import { Host } from './host/host.js'
import { HostWatch } from './host/host-watch.js'
import { defaultResetMode } from './host/hygiene.js'
import { LifeguardPool } from './lifeguard-pool.js'
import { RetryBudget } from './policy/retry-budget.js'
import type { BudgetShare } from './pool/budget.js'
import type { PoolEnvironment } from './pool/pool-environment.js'
import type { LeakReport } from './pool/resource-factory.js'
import type { Pool } from './pool.js'
import type { PoolEvents } from './pool-events.js'
import { defaultListen, defaultPoolLocks, type PoolOptions, resolveOptions, withoutUndefined } from './pool-options.js'
import { Ambient } from './session/ambient.js'
import { Listeners } from './session/listen/listeners.js'
import { Elections } from './session/lock/elections.js'
import { LockGrants } from './session/lock/lock-grants.js'
import { LockNames } from './session/lock/lock-names.js'
import { LockSessions } from './session/lock/lock-sessions.js'
import type { LockEnvironment } from './session/lock/with-lock.js'
import { preparation } from './session/new-connection.js'
import { resolveWatchOptions } from './watch-options.js'
import type { ConnectSettings } from './wire/connect-settings.js'
import { Destination } from './wire/destination.js'
import { endpointText } from './wire/endpoint.js'

/**
 * Makes a pool. Nothing is connected before the first use, unless `min` asks for it. This is the one place where the
 * parts of Lifeguard are put together.
 *
 * @throws InvalidOptionError at once, naming the option, the value and what is allowed
 * @throws UnsupportedRuntimeError on Node.js before 22
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
  assertRuntime()
  const { options, limits, connect, statements, replicas, cluster: clusterOptions } = resolveOptions(given)
  const name = options.name ?? 'lifeguard'
  const environment: PoolEnvironment = {
    clock: options.environment?.clock ?? systemClock,
    random: options.environment?.random ?? systemRandom,
    poolName: name,
  }
  const events = new Emitter<PoolEvents>({ prefix: 'pg-lifeguard', stamp: { pool: name }, describe: summaryOf })
  const { resetOnRelease: resetMode = defaultResetMode } = options
  const { clock, random } = environment
  const destination = new Destination(connect, name, clock, random)
  const watching = { ...resolveWatchOptions(options), pool: name, events, onLeak: options.onLeak ?? warnOfLeak(name) }
  const shareOf = (settings: ConnectSettings, where: string): BudgetShare | undefined =>
    options.budget && {
      budget: options.budget,
      database: `${where}/${settings.database}`,
      user: `${settings.user}@${where}`,
    }
  const share = shareOf(connect, destination.where)
  share?.budget.assertRoom(limits.min, share)
  const placesOf = (settings: ConnectSettings, own: Pick<PlaceSettings, 'limits' | 'weight'>): PlaceSettings[] =>
    settings.endpoints.map((endpoint) => {
      const only = { ...settings, endpoints: [endpoint], targetSessionAttrs: 'any' as const }
      const where = endpointText(endpoint)
      return { ...own, where, destination: new Destination(only, name, clock, random), share: shareOf(settings, where) }
    })
  const places = [
    // Each of the pool's own hosts may be the primary; those that are not are read from.
    ...placesOf(connect, { limits: { ...limits, min: 0 }, weight: 1 }),
    ...replicas.flatMap((replica) => {
      const { max = limits.max, min, weight } = replica
      return placesOf(replica.connect, { limits: { ...limits, max, min }, weight })
    }),
  ]
  // Of several hosts one that takes writes is wanted: which one that is can change, and is looked for in one way only.
  const isCluster = replicas.length > 0 || (connect.endpoints.length > 1 && destination.wantsWriter)
  const why = isCluster ? 'the primary' : connect.endpoints.length > 1 ? 'the first host that fits' : 'the only host'
  const watch = new HostWatch(destination.where, { ...watching, role: 'primary', why }, environment)
  const prepare = options.onConnect && preparation(options.onConnect, clock, (session) => pool.lendNew(session))
  const plan = {
    destination,
    limits,
    environment,
    watch,
    watching,
    resetMode,
    prepare,
    statements,
    share,
    events,
    options: clusterOptions,
    places,
  }
  const { host, cluster } = isCluster
    ? createCluster(plan)
    : {
        host: new Host(destination, limits, environment, watch, { resetMode, prepare, statements, share }),
        cluster: undefined,
      }
  const { maxConnections, heartbeatMs, selfTest } = { ...defaultPoolLocks, ...withoutUndefined(options.locks ?? {}) }
  const sessions = new LockSessions(host, maxConnections, {
    everyMs: heartbeatMs,
    boundMs: heartbeatMs,
  })
  const lockNames = new LockNames()
  const session: LockEnvironment = {
    elections: new Elections(),
    grants: new LockGrants(host, sessions, lockNames, selfTest),
    lockNames,
    host,
    cluster,
    ambient: new Ambient(environment.clock),
    retryBudget: new RetryBudget(options.retryBudget),
    events,
    counts: { retries: 0 },
  }
  const listeners = new Listeners(host, session.ambient, {
    heartbeatMs: options.listen?.heartbeatMs ?? defaultListen.heartbeatMs,
    startTimeoutMs: limits.acquireTimeoutMs,
  })
  const pool = new LifeguardPool(name, session, listeners)
  return pool
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
