import { createCluster, type MemberPlan } from './cluster/create-cluster.js'
import { Connector } from './connection/connect/connector.js'
import { endpointText } from './connection/connect/endpoint.js'
import type { ConnectSettings } from './connection/connect/settings.js'
import { systemClock, systemRandom } from './deadline/clock.js'
import { summaryOf } from './errors/classify.js'
import { assertRuntime } from './errors/lifeguard-error.js'
import { Listeners } from './listen/listener.js'
import { Elections } from './lock/elections.js'
import { LockGrants, LockNames } from './lock/grants.js'
import { LockSessions } from './lock/lock-session.js'
import type { LockEnvironment } from './lock/with-lock.js'
import { Emitter } from './observe/emitter.js'
import type { PoolOptions } from './options/option-schema.js'
import { resolveOptions } from './options/pool-options.js'
import { preparation } from './pg-compat/new-connection.js'
import type { PoolEvents } from './pool/events.js'
import { LifeguardPool } from './pool/lifeguard-pool.js'
import type { Pool } from './pool/pool.js'
import { RetryBudget } from './resilience/retry.js'
import type { BudgetShare } from './resource-pool/budget.js'
import type { LeakReport, PoolEnvironment } from './resource-pool/resource.js'
import { ServerObserver } from './server/observer.js'
import { Server } from './server/server.js'
import { Ambient } from './transaction/context.js'

/**
 * Makes a pool. Nothing is connected before the first use, unless `min` asks for it. This is the one place where the
 * parts of Lifeguard are put together.
 *
 * @throws InvalidArgumentError at once, naming the option, the value and what is allowed
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
  const { resolved: options, limits, connect, statements, replicas, cluster: clusterOptions } = resolveOptions(given)
  const { name, slowQueryMs, resetOnRelease: resetMode } = options
  const environment: PoolEnvironment = {
    clock: options.environment.clock ?? systemClock,
    random: options.environment.random ?? systemRandom,
    poolName: name,
  }
  const events = new Emitter<PoolEvents>({ prefix: 'pg-lifeguard', stamp: { pool: name }, describe: summaryOf })
  const { clock, random } = environment
  const connector = new Connector(connect, name, clock, random)
  const breaker = options.breaker === false ? undefined : options.breaker
  const watching = { slowQueryMs, breaker, pool: name, events, onLeak: options.onLeak ?? warnOfLeak(name) }
  const shareOf = (settings: ConnectSettings, address: string): BudgetShare | undefined =>
    options.budget && {
      budget: options.budget,
      database: `${address}/${settings.database}`,
      user: `${settings.user}@${address}`,
    }
  const share = shareOf(connect, connector.address)
  share?.budget.assertRoom(limits.min, share)
  const placesOf = (settings: ConnectSettings, own: Pick<MemberPlan, 'limits' | 'weight'>): MemberPlan[] =>
    settings.endpoints.map((endpoint) => {
      const only = { ...settings, endpoints: [endpoint], targetSessionAttrs: 'any' as const }
      const address = endpointText(endpoint)
      return { ...own, address, connector: new Connector(only, name, clock, random), share: shareOf(settings, address) }
    })
  const members = [
    // Each of the pool's own hosts may be the primary; those that are not are read from.
    ...placesOf(connect, { limits: { ...limits, min: 0 }, weight: 1 }),
    ...replicas.flatMap((replica) => {
      const { max = limits.max, min, weight } = replica
      return placesOf(replica.connect, { limits: { ...limits, max, min }, weight })
    }),
  ]
  // Of several hosts one that takes writes is wanted: which one that is can change, and is looked for in one way only.
  const isCluster = replicas.length > 0 || (connect.endpoints.length > 1 && connector.wantsWriter)
  const why = isCluster
    ? 'the primary'
    : connect.endpoints.length > 1
      ? 'the first server that fits'
      : 'the only server'
  const observer = new ServerObserver(connector.address, { ...watching, role: 'primary', why }, environment)
  const prepare = options.onConnect && preparation(options.onConnect, clock, (session) => pool.lendNew(session))
  const plan = {
    connector,
    limits,
    environment,
    observer,
    watching,
    resetMode,
    prepare,
    statements,
    share,
    events,
    options: clusterOptions,
    members,
  }
  const { server, cluster } = isCluster
    ? createCluster(plan)
    : {
        server: new Server(connector, limits, environment, observer, { resetMode, prepare, statements, share }),
        cluster: undefined,
      }
  const { maxConnections, heartbeatMs, selfTest } = options.locks
  const sessions = new LockSessions(server, maxConnections, {
    everyMs: heartbeatMs,
    boundMs: heartbeatMs,
  })
  const lockNames = new LockNames()
  const session: LockEnvironment = {
    elections: new Elections(),
    grants: new LockGrants(server, sessions, lockNames, selfTest),
    lockNames,
    server,
    cluster,
    ambient: new Ambient(environment.clock),
    retryBudget: new RetryBudget(options.retryBudget),
    events,
    counts: { retries: 0 },
  }
  const listeners = new Listeners(server, session.ambient, {
    heartbeatMs: options.listen.heartbeatMs,
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
