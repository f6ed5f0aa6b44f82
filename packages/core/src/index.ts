export type { Duration, DurationText } from './base/duration.js'
export type { HistogramSnapshot } from './base/histogram.js'
export type { OperationOptions } from './base/limit.js'
export type {
  ClusterEvents,
  FailoverEvent,
  HostStats,
  PrimaryLostEvent,
  RouteEvent,
  RouteReason,
} from './cluster/cluster-events.js'
export type { ClusterOptions, ReplicaOptions } from './cluster/cluster-options.js'
export { isReadOnlyText, type ReadRuleOptions } from './cluster/read-rule.js'
export { createBudget } from './create-budget.js'
export { createPool } from './create-pool.js'
export {
  type CreatePoolsOptions,
  createPools,
  type PoolConfigs,
  type PoolGroup,
  type PoolGroupStats,
  type Pools,
} from './create-pools.js'
export { BatchError } from './errors/batch-error.js'
export { BreakerOpenError, type BreakerOpenFigures } from './errors/breaker-open-error.js'
export { type BreakerVerdict, breakerVerdict } from './errors/breaker-verdict.js'
export { classify, type ErrorClass, type Phase } from './errors/classify.js'
export { type HostReport, NoPrimaryError, NotOnReplicaError } from './errors/cluster-errors.js'
export type { ErrorSummary } from './errors/error-summary.js'
export { InvalidOptionError } from './errors/invalid-option-error.js'
export {
  assertFlag,
  assertKnownOptions,
  fieldsOf,
  limitNames,
  type OptionNames,
  optionNames,
} from './errors/known-options.js'
export { LifeguardError, type LifeguardErrorCode } from './errors/lifeguard-error.js'
export { DeadlockError, LockLostError, LockTimeoutError, LockUnsupportedError } from './errors/lock-errors.js'
export { type GivenUpOutcome, OperationAbortedError, OperationTimeoutError } from './errors/operation-errors.js'
export { inheritOrigin } from './errors/origin.js'
export {
  AcquireTimeoutError,
  ConnectionLostError,
  ConnectionReleasedError,
  type HolderFigures,
  OverloadedError,
  PoolClosedError,
  type PoolFigures,
  QueueFullError,
  SelfDeadlockError,
  ServerUnavailableError,
} from './errors/pool-errors.js'
export { ProtocolViolationError } from './errors/protocol-violation-error.js'
export { sqlStateOf } from './errors/sqlstate.js'
export { CommitUnknownError, TransactionClosedError, TransactionRolledBackError } from './errors/transaction-errors.js'
export { UnreadableResultError } from './errors/unreadable-result-error.js'
export { UnsupportedRuntimeError } from './errors/unsupported-runtime-error.js'
export { VersionConflictError } from './errors/version-conflict-error.js'
export type { BesideStats, BesideUse } from './host/beside.js'
export type { BreakerStats } from './host/host-breaker.js'
export type { HostCounts, QueryCounts, RefusalCounts } from './host/host-counts.js'
export type {
  AcquireEvent,
  BreakerEvent,
  BrokenConnectionEvent,
  CloseEvent,
  ConnectEvent,
  ConnectFailedEvent,
  HostEvent,
  HostEvents,
  HostRole,
  LeakEvent,
  QueryEvent,
  ReadOnlyEvent,
  ReleaseEvent,
  ShedEvent,
  TimeoutEvent,
  TurnedAwayEvent,
} from './host/host-events.js'
export type { HostHealth } from './host/host-health.js'
export type { HygieneOptions, ResetMode } from './host/hygiene.js'
export type { QueryTrace } from './host/query-trace.js'
export type { BackoffOptions } from './policy/backoff.js'
export { type Breaker, type BreakerCall, createBreaker, type OwnBreakerOptions } from './policy/breaker.js'
export type { BreakerOptions } from './policy/breaker-options.js'
export type { BreakerFigures, BreakerReason, BreakerState, BreakerTransition } from './policy/circuit-breaker.js'
export type { OverloadOptions } from './policy/codel.js'
export type { RetryBudgetOptions } from './policy/retry-budget.js'
export type { Budget, BudgetOptions } from './pool/budget.js'
export type { FlushMode } from './pool/flush-mode.js'
export type { PoolCounts } from './pool/pool-counts.js'
export type { PoolLimits, PoolSize } from './pool/pool-limits.js'
export type { CloseReason } from './pool/pool-observer.js'
export type { LeakReport } from './pool/resource-factory.js'
export type { Pool } from './pool.js'
export type { ActiveConnection } from './pool-active.js'
export type { EndOptions } from './pool-end.js'
export type { PoolEvents } from './pool-events.js'
export type { PoolHealth } from './pool-health.js'
export { assertPool, type PoolMethods, poolMethods } from './pool-methods.js'
export type { PoolListenOptions, PoolLockOptions, PoolOptions } from './pool-options.js'
export type { PoolStats } from './pool-stats.js'
export type { Deadline } from './session/ambient-deadline.js'
export type { Batchable, BatchResults } from './session/batch.js'
export type { BatchTaskResults, BatchTasks } from './session/batch-together.js'
export type { CommitProofOptions } from './session/commit-proof.js'
export type { ControlledTransactionOptions } from './session/controlled-transaction.js'
export type { CopyFormat } from './session/copy/copy-format.js'
export type { CopyRows, CopyTarget } from './session/copy/copy-from.js'
export type { CopyOptions, CopyProgress } from './session/copy/copy-options.js'
export type { CopyInput } from './session/copy/copy-rows.js'
export type { CopyOrigin, CopyToOptions } from './session/copy/copy-to.js'
export type { FanOutResults, FanOutTasks } from './session/fan-out.js'
export type { ConcurrencyOptions } from './session/for-each-concurrent.js'
export type { Hook } from './session/hooks.js'
export type {
  ListenGap,
  ListenOptions,
  NotificationHandler,
  NotificationOrigin,
  Subscription,
} from './session/listen/subscription.js'
export type { Candidacy, ElectOptions } from './session/lock/elect.js'
export type { FencingToken, LockHandle, LockMode } from './session/lock/held-lock.js'
export type { Lock } from './session/lock/lock.js'
export { advisoryLockKey, type LockKey } from './session/lock/lock-key.js'
export type { LockListing } from './session/lock/lock-listing.js'
export type { AcquireLockOptions, LockOptions, TryLockOptions } from './session/lock/lock-options.js'
export type { TryLockResult } from './session/lock/with-lock.js'
export type { MigrationLockOptions } from './session/lock/with-migration-lock.js'
export type { SemaphoreOptions } from './session/lock/with-semaphore.js'
export type { NewConnection, OnConnect } from './session/new-connection.js'
export type { Copyable, Notifiable, Operable } from './session/operations.js'
export type { PooledConnection } from './session/pooled-connection.js'
export type { StreamArguments, Streamable, StreamOptions } from './session/portal.js'
export type { QueryArguments, Queryable, StatementArguments } from './session/queryable.js'
export type { ReadOptions } from './session/read.js'
export type { AmbiguousCommitEvent, HookErrorEvent, RetryEvent, SessionEvents } from './session/session-events.js'
export { type SqlTag, sql } from './session/sql/sql.js'
export type { Sql } from './session/sql/sql-statement.js'
export type { ControlledTransaction, RetryReason, Transaction } from './session/transaction.js'
export {
  assertTransactionOptions,
  type BeginOptions,
  type CommitOptions,
  type IsolationLevel,
  type RetryOptions,
  type TransactionOptions,
} from './session/transaction-options.js'
export { type UpdateVersionedOptions, updateVersionedNames } from './session/update-versioned.js'
export { type VersionedUpdate, versionedUpdate } from './session/versioned-update.js'
export type { FallbackCache, FallbackOptions, FallbackResult } from './session/with-fallback.js'
export type { OptimisticAttempt, OptimisticRetryOptions } from './session/with-optimistic-retry.js'
export { quoteIdentifier } from './sql/quote-name.js'
export type { WatchOptions } from './watch-options.js'
export { readArray } from './wire/array-text.js'
export { readBytes } from './wire/bytes-text.js'
export type { ConnectOptions } from './wire/connect-options.js'
export type { ChannelBinding, TargetSessionAttrs } from './wire/connect-settings.js'
export type { CopyResult } from './wire/copy-in.js'
export type { Field, TypeParsers } from './wire/pg-internals.js'
export type { QueryResult } from './wire/query-result.js'
export type { StatementConfig } from './wire/statement.js'
export { isoDate, isoTimestamp, isoTimestampInUtc, momentText, timeInUtc } from './wire/time-text.js'
export type { SslMode } from './wire/tls-settings.js'
export type { TypeChoices } from './wire/type-choices.js'
