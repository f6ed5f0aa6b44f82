export type { Cluster, WaitForReplicasOptions } from './cluster/cluster.js'
export { connectToServer, type TestServer } from './cluster/connect-to-server.js'
export {
  ClusterError,
  type ClusterErrorCode,
  ClusterStartError,
  EmbeddedPostgresUnavailableError,
  LeftoverSessionsError,
  type LogTailOptions,
  PortInUseError,
  ServerOperationError,
  ServerUnreachableError,
} from './cluster/errors.js'
export type { StopMode } from './cluster/keeper-protocol.js'
export { stopAllClusters } from './cluster/running-clusters.js'
export type { ServerNode, ServerRole, StartServerOptions, StopServerOptions } from './cluster/server-node.js'
export { type ServerSession, type SessionsOfOptions, sessionsOf } from './cluster/sessions-of.js'
export { type SettingValue, type StartClusterOptions, startCluster } from './cluster/start-cluster.js'
export type { CreateDatabaseOptions, TestDatabase } from './cluster/test-database.js'
export type { ConnectionFilter, ConnectionIdentity } from './proxy/connection-filter.js'
export type { CutOptions, FaultProxy, StallOptions } from './proxy/fault-proxy.js'
export { FaultProxyError, type FaultProxyErrorCode } from './proxy/fault-proxy-error.js'
export type { Direction, ToClientMessage, ToServerMessage } from './proxy/messages.js'
export type { FaultProxyOptions, FaultProxyShape } from './proxy/options.js'
export type { RuleFired, TargetAddress } from './proxy/protocol.js'
export type {
  FaultRule,
  RuleAction,
  RuleBasics,
  StatementRule,
  TextPattern,
  ToClientRule,
  ToServerRule,
} from './proxy/rule.js'
export type { RuleHandle } from './proxy/rule-handle.js'
export { startFaultProxy } from './proxy/start-fault-proxy.js'
export type { FaultProxyConnection, FaultProxyStats } from './proxy/stats.js'
