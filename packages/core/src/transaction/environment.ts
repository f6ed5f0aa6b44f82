import type { Cluster } from '../cluster/cluster.js'
import type { ClusterEvents } from '../cluster/events.js'
import type { ErrorClass } from '../errors/classify.js'
import type { Emitter } from '../observe/emitter.js'
import type { RetryBudget } from '../resilience/retry.js'
import type { RetryGate } from '../resilience/retry-gate.js'
import type { ServerEvents } from '../server/events.js'
import type { Server } from '../server/server.js'
import type { Ambient } from './context.js'

/** One attempt that failed and is made again. */
export interface RetryEvent {
  /** Which attempt failed; `1` is the first. */
  readonly attempt: number
  /** Why it is made again. */
  readonly reason: ErrorClass
  /** What the server or the connection has said, whatever the callback has thrown because of it. */
  readonly error: unknown
  /** How long the next attempt was waited for, in milliseconds: a pause, or the wait for a turn. */
  readonly delayMs: number
}

/** A COMMIT whose answer was lost, and what became known of it. */
export interface AmbiguousCommitEvent {
  /** `unknown` when nobody asked for a proof, or none could be had. */
  readonly outcome: 'committed' | 'aborted' | 'unknown'
  /** What ended the connection. */
  readonly error: unknown
  /** How long it took to find out, in milliseconds. */
  readonly provedInMs: number
}

/** A hook of a transaction threw. The transaction's own outcome stands. */
export interface HookErrorEvent {
  readonly hook: 'afterCommit' | 'afterRollback' | 'onUnknown'
  readonly error: unknown
}

/** The cache of a `withFallback` threw, rejected, did not answer in time, or gave what was not stored. The call goes on. */
export interface CacheErrorEvent {
  readonly key: string
  readonly operation: 'get' | 'set'
  readonly error: unknown
}

/** The events of the methods on this floor, and of the servers below. */
export interface SessionEvents extends ServerEvents {
  retry: RetryEvent
  'ambiguous-commit': AmbiguousCommitEvent
  'hook-error': HookErrorEvent
  'cache-error': CacheErrorEvent
}

/** What the methods of this floor work with; one for each pool. */
export interface SessionEnvironment {
  readonly server: Server
  readonly ambient: Ambient
  /** There when the pool has several hosts. */
  readonly cluster?: Cluster | undefined
  /** Shared by every caller of the pool. */
  readonly retryBudget: RetryBudget
  /** In which all of them take turns after conflicts. */
  readonly retryGate: RetryGate
  readonly events: Emitter<SessionEvents & ClusterEvents>
  /** How often work was done again, by `withTransaction` and `withOptimisticRetry`. */
  readonly counts: { retries: number }
}
