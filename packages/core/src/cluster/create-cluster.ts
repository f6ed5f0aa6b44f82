import type { Connector } from '../connection/connect/connector.js'
import { ConnectionLostError } from '../errors/pool-errors.js'
import { inNoContext } from '../observe/context.js'
import type { BudgetShare } from '../resource-pool/budget.js'
import type { ResolvedPoolLimits } from '../resource-pool/limits.js'
import type { PoolEnvironment } from '../resource-pool/resource.js'
import { ServerObserver, type ServerObserverOptions } from '../server/observer.js'
import type { PrepareConnection } from '../server/prepare-new.js'
import type { ResetMode } from '../server/reset.js'
import { Server } from '../server/server.js'
import type { StatementOptions } from '../server/server-options.js'
import { ReadRule } from '../sql/read-rule.js'
import { Cluster } from './cluster.js'
import type { ResolvedClusterOptions } from './cluster-options.js'
import type { ClusterEmitter } from './events.js'
import { watchServers } from './servers.js'
import { CausalWrites, WritePositions } from './write-positions.js'

/** A server, and the pool of connections to it while it is a replica. */
export interface MemberPlan {
  /** `127.0.0.1:5432`, for people. */
  readonly address: string
  /** This one server, whatever its role. */
  readonly connector: Connector
  readonly limits: ResolvedPoolLimits
  readonly weight: number
  /** The budget that its connections are taken from, if there is one. */
  readonly share: BudgetShare | undefined
}

/** What a cluster is put together from. */
export interface ClusterPlan {
  /** Those that may be the primary first, and the most likely one foremost. Two or more. */
  readonly members: readonly MemberPlan[]
  /** What the user said of the primary. */
  readonly connector: Connector
  /** Those of the pool to the primary, wherever that is. */
  readonly limits: ResolvedPoolLimits
  readonly environment: PoolEnvironment
  /** Of the primary. */
  readonly observer: ServerObserver
  /** What is watched for on every server. */
  readonly watching: Omit<ServerObserverOptions, 'role' | 'why'>
  readonly resetMode: ResetMode
  /** What is done with each new connection, on every server. */
  readonly prepare: PrepareConnection | undefined
  /** What is prepared, and which connections are shared, on every server. */
  readonly statements: StatementOptions
  /** The budget that the connections to the primary are taken from, if there is one. */
  readonly share: BudgetShare | undefined
  readonly events: ClusterEmitter
  readonly options: ResolvedClusterOptions
}

/** Puts a cluster together: the server that everything but reads goes to, which follows the primary, and the rest. */
export function createCluster(plan: ClusterPlan): { readonly server: Server; readonly cluster: Cluster } {
  const { environment, observer, watching, events, options } = plan
  const { clock } = environment
  // What is changed on the primary is so on the replicas, soon after.
  const statements: StatementOptions = { ...plan.statements, schema: { epoch: 0 } }
  const members = plan.members.map(({ address, connector, limits, weight, share }, at) => {
    const watched = new ServerObserver(address, { ...watching, role: 'replica', why: 'a read' }, environment)
    const reader = new Server(connector, limits, environment, watched, {
      resetMode: plan.resetMode,
      // A read whose connection to a replica was lost is better off with the next replica.
      statements: { ...statements, isRepeatable: undefined },
      failsFast: true,
      prepare: plan.prepare,
      share,
      // Whoever waits is answered at once, and must be able to distinguish a failure to connect from what a statement may say.
      open: (signal) =>
        connector.open(signal).then(
          (connection) => {
            // Promoted: it says so with its next answer, and its role in the cluster is another one. Noted by the member.
            connection.reports.onChange(() => void servers.members[at]?.monitor.probe().catch(() => undefined))
            return connection
          },
          (cause: unknown) => {
            throw new ConnectionLostError(false, { cause })
          },
        ),
    })
    return { address, open: (signal?: AbortSignal) => connector.open(signal), reader, weight }
  })
  const servers = watchServers(members, environment, options.causalityWaitMs, {
    found: (member, from, timeline) => {
      observer.address = member.address
      // Whatever was held against the old one does not count for the new one.
      observer.breaker?.serverAnswers()
      server.pool.retryNow()
      if (member === from || from === undefined) return
      inNoContext(() => events.emit('failover', () => ({ from: from.address, to: member.address, timeline })))
    },
    lost: (member, error) => inNoContext(() => events.emit('primary-lost', () => ({ address: member.address, error }))),
  })
  const server = new Server(plan.connector, plan.limits, environment, observer, {
    resetMode: plan.resetMode,
    prepare: plan.prepare,
    statements,
    open: async (signal) => plan.connector.fitting(await servers.topology.openWriter(signal)),
    unavailableTimeoutMs: options.failoverTimeoutMs,
    share: plan.share,
  })
  const { maxLagMs, maxLagBytes, failoverTimeoutMs, causalityWaitMs } = options
  const writes = new CausalWrites(new WritePositions(server), servers.topology, clock, causalityWaitMs)
  servers.router.askPrimary = () => writes.position()
  const cluster = new Cluster({
    primary: server,
    ...servers,
    rule: new ReadRule(options),
    writes,
    events,
    failoverTimeoutMs,
    scope: { maxLagMs, maxLagBytes },
  })
  return { server, cluster }
}
