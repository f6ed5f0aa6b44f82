export type {
  ClusterEvents,
  FailoverEvent,
  PrimaryLostEvent,
  RouteEvent,
  RouteReason,
  ServerStats,
} from './cluster/events.js'
export type { ChannelBinding, TargetSessionAttrs } from './connection/connect/settings.js'
export type { SslMode } from './connection/connect/tls.js'
export type { CopyResult } from './connection/copy.js'
export type { Field, TypeParsers } from './connection/pg-internals.js'
export type { QueryResult } from './connection/result.js'
export type { StatementConfig } from './connection/statement.js'
export type { TypeChoices } from './connection/type-parsers.js'
export { createBreaker, type OwnBreakerOptions } from './create-breaker.js'
export { createPool } from './create-pool.js'
export {
  type CreatePoolsOptions,
  createPools,
  type PoolConfigs,
  type PoolGroup,
  type PoolGroupStats,
  type Pools,
} from './create-pools.js'
export type { OperationOptions } from './deadline/deadline.js'
export type { Duration, DurationText } from './deadline/duration.js'
export type { ErrorSummary } from './errors/classify.js'
export { type BreakerVerdict, breakerVerdict, classify, type ErrorClass, type Phase } from './errors/classify.js'
export {
  InvalidArgumentError,
  LifeguardError,
  type LifeguardErrorCode,
  UnsupportedRuntimeError,
} from './errors/lifeguard-error.js'
export {
  type GivenUpOutcome,
  OperationAbortedError,
  OperationTimeoutError,
  ProtocolViolationError,
  UnreadableResultError,
} from './errors/operation-errors.js'
export {
  AcquireTimeoutError,
  BreakerOpenError,
  type BreakerOpenFigures,
  ConnectionLostError,
  ConnectionReleasedError,
  type HolderFigures,
  LoginError,
  NoPrimaryError,
  NotOnReplicaError,
  OverloadedError,
  PoolClosedError,
  type PoolFigures,
  QueueFullError,
  SelfDeadlockError,
  type ServerReport,
  ServerUnavailableError,
} from './errors/pool-errors.js'
export { sqlStateOf } from './errors/sqlstate.js'
export {
  BatchError,
  CommitUnknownError,
  DeadlockError,
  LockLostError,
  LockTimeoutError,
  LockUnsupportedError,
  TransactionClosedError,
  TransactionRolledBackError,
  VersionConflictError,
} from './errors/transaction-errors.js'
export type { Candidacy, ElectOptions } from './lock/election.js'
export type { LockListing } from './lock/listing.js'
export type { Lock } from './lock/lock.js'
export type { AcquireLockOptions, LockOptions, TryLockOptions } from './lock/options.js'
export type { SemaphoreOptions } from './lock/semaphore.js'
export type { MigrationLockOptions, TryLockResult } from './lock/with-lock.js'
export type { HistogramSnapshot } from './observe/histogram.js'
export type {
  BreakerOptions,
  ClusterOptions,
  ConnectOptions,
  HygieneOptions,
  OverloadOptions,
  PipeliningOptions,
  PoolLimits,
  PoolListenOptions,
  PoolLockOptions,
  PoolOptions,
  ReadRuleOptions,
  ReplicaOptions,
  RetryBudgetOptions,
  WatchOptions,
} from './options/option-schema.js'
export type { NewConnection, OnConnect } from './pg-compat/new-connection.js'
export type { BatchTaskResults, BatchTasks } from './pool/batch-together.js'
export type { EndOptions } from './pool/control.js'
export type { PoolEvents } from './pool/events.js'
export type { FallbackCache, FallbackOptions, FallbackResult } from './pool/fallback.js'
export type { ConcurrencyOptions, FanOutResults, FanOutTasks } from './pool/fan-out.js'
export type { PoolHealth } from './pool/health.js'
export type { Pool } from './pool/pool.js'
export type { PooledConnection } from './pool/pooled-connection.js'
export type { ReadOptions } from './pool/read.js'
export type { ActiveConnection, ConnectionStats, PoolStats, QueryStats, WaitStats } from './pool/stats.js'
export type { Batchable, BatchResults } from './query/batch.js'
export type {
  CopyFormat,
  CopyInput,
  CopyOptions,
  CopyOrigin,
  CopyProgress,
  CopyRows,
  CopyTarget,
  CopyToOptions,
} from './query/copy.js'
export type { Copyable, Notifiable, Operable } from './query/operations.js'
export type { QueryArguments, Queryable, StatementArguments } from './query/queryable.js'
export type { Sql } from './query/sql.js'
export { type SqlTag, sql } from './query/sql.js'
export type { StreamArguments, Streamable, StreamOptions } from './query/stream.js'
export type {
  ListenGap,
  ListenOptions,
  NotificationHandler,
  NotificationOrigin,
  Subscription,
} from './query/subscription.js'
export type { Breaker, BreakerCall } from './resilience/breaker.js'
export type { BreakerFigures, BreakerReason, BreakerState, BreakerTransition } from './resilience/circuit-breaker.js'
export type { BackoffOptions } from './resilience/retry.js'
export type { BreakerStats } from './resilience/server-breaker.js'
export type { Budget, BudgetOptions } from './resource-pool/budget.js'
export { createBudget } from './resource-pool/budget.js'
export type { EvictMode } from './resource-pool/lifecycle.js'
export type { PoolSize } from './resource-pool/limits.js'
export type { CloseReason, LeakReport } from './resource-pool/resource.js'
export type { BesideStats, BesideUse } from './server/beside.js'
export type {
  AcquireEvent,
  BreakerEvent,
  BrokenConnectionEvent,
  CloseEvent,
  ConnectEvent,
  ConnectFailedEvent,
  LeakEvent,
  QueryEvent,
  ReadOnlyEvent,
  ReleaseEvent,
  ServerEvent,
  ServerEvents,
  ServerRole,
  ShedEvent,
  TimeoutEvent,
  TurnedAwayEvent,
} from './server/events.js'
export type { ServerHealth } from './server/health.js'
export type { QueryCounts, RefusalCounts, WaitCounts } from './server/metrics.js'
export type { QueryTrace } from './server/observer.js'
export type { ResetMode } from './server/reset.js'
export { advisoryLockKey, type LockKey } from './sql/lock-key.js'
export { quoteIdentifier } from './sql/quote.js'
export { isReadOnlyText } from './sql/read-rule.js'
export type { DeadlineHandle, DeadlineOptions } from './transaction/ambient-deadline.js'
export type { CommitProofOptions } from './transaction/commit-proof.js'
export type { AmbiguousCommitEvent, HookErrorEvent, RetryEvent, SessionEvents } from './transaction/environment.js'
export type { FencingToken, LockHandle, LockMode } from './transaction/held-lock.js'
export type { ManualTransactionOptions } from './transaction/manual-transaction.js'
export type { OptimisticAttempt, OptimisticRetryOptions, UpdateVersionedOptions } from './transaction/optimistic.js'
export type {
  BeginOptions,
  CommitOptions,
  IsolationLevel,
  RetryOptions,
  TransactionOptions,
} from './transaction/options.js'
export type {
  Hook,
  ManualTransaction,
  RetryReason,
  Transaction,
} from './transaction/transaction.js'
