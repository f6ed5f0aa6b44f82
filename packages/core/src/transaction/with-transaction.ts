import { type Deadline, givenUp } from '../deadline/deadline.js'
import { classifyOwn, type ErrorClass, isRetryableByDefault, ownCause } from '../errors/classify.js'
import { InvalidArgumentError, isInstance } from '../errors/lifeguard-error.js'
import { ownedBy } from '../errors/origin.js'
import { CommitUnknownError } from '../errors/transaction-errors.js'
import { warnOf } from '../observe/user-callback.js'
import { withCallersStack } from '../query/queryable.js'
import { defaultAttempts } from '../resilience/retry.js'
import type { Turn, TurnOutcome } from '../resilience/retry-gate.js'
import type { WorkContext } from '../resource-pool/wait-queue.js'
import { commitFollower, commitProven } from './commit.js'
import { type ConnectionSource, fromPool, sourceOfReads } from './connection-source.js'
import { routingContextOf } from './context.js'
import type { SessionEnvironment } from './environment.js'
import { assertFits, endedError } from './join.js'
import {
  assertTransactionOptions,
  beginPreludes,
  commitProof,
  type RetryOptions,
  type TransactionOptions,
} from './options.js'
import { isConflict, pauseBeforeRetry } from './retry-pause.js'
import { TransactionScope } from './savepoint.js'
import { type ManualEnd, ServerTransaction } from './server-transaction.js'
import type { HookName, Hooks, RetryReason, Transaction } from './transaction.js'

/**
 * Runs `fn` in a transaction: commits when it returns, rolls back when it throws, and runs it again when the server
 * undid it for reasons that go away. Inside of another transaction of the same pool it is a savepoint in that one.
 *
 * What is thrown is true: an error that is not CommitUnknownError means that nothing was committed.
 * Only a callback that executes COMMIT by itself is beyond that: what it committed stays, whatever it throws after it.
 * https://www.postgresql.org/docs/18/mvcc-serialization-failure-handling.html
 *
 * @param source where each attempt gets its connection from; the pool, unless somebody holds one already
 */
export async function withTransaction<T>(
  environment: SessionEnvironment,
  fn: (tx: Transaction) => Promise<T>,
  options: TransactionOptions = {},
  source?: ConnectionSource,
): Promise<T> {
  if (typeof fn !== 'function')
    throw new InvalidArgumentError('fn', `of type ${typeof fn}`, 'a function that is given the transaction')
  assertTransactionOptions(options)
  const { ambient, server } = environment
  const outer = ambient.current?.transaction
  if (outer !== undefined) {
    if (outer.isOver) throw endedError(outer)
    assertFits(options, outer)
    return await outer.withTransaction(fn, options)
  }
  const deadline = ambient.deadlineFor(options)
  const over = deadline.reached()
  if (over !== undefined) throw ownedBy(givenUp(over, 'not-sent'), server.environment)
  const { attempts = defaultAttempts, backoff }: RetryOptions =
    options.retry === false ? { attempts: 1 } : (options.retry ?? {})
  const holder = { held: 0, parent: ambient.current?.holder }
  const call: Call<T> = {
    environment,
    fn,
    options,
    deadline,
    holder,
    source: source ?? sourceOf(environment, options, holder),
  }
  const retries: RetryReason[] = []
  let turn: Turn | undefined
  for (;;) {
    const made = [...retries]
    const outcome = await (turn === undefined ? attemptOnce(call, made) : attemptInTurn(call, made, turn))
    turn = undefined
    if (outcome.kind === 'committed') {
      environment.retryBudget.succeeded()
      await runHooks(environment, outcome.hooks, 'afterCommit')
      return outcome.value
    }
    const { error, hooks } = outcome
    const attempt = retries.length + 1
    if (outcome.kind === 'undone' && attempt < attempts && (await isWorthRetrying(outcome.reason, call))) {
      const failed = { attempt, reason: outcome.reason, error: outcome.cause }
      // What a source that is not renewable has given is held between the attempts too.
      const pause = await pauseBeforeRetry(environment, failed, backoff, deadline, call.source.isRenewable)
      if (pause === undefined || pause.kind === 'turn') {
        turn = pause
        retries.push(failed)
        continue
      }
      await runHooks(environment, hooks, 'afterRollback')
      throw ownedBy(givenUp(pause, 'cancelled', error), server.environment)
    }
    await runHooks(environment, hooks, hookFor(outcome.kind === 'ended' ? outcome.fate : outcome.kind))
    throw error
  }
}

/** One call of `withTransaction`, over all its attempts. */
interface Call<T> {
  readonly environment: SessionEnvironment
  readonly fn: (tx: Transaction) => Promise<T>
  readonly options: TransactionOptions
  readonly deadline: Deadline
  readonly holder: WorkContext
  readonly source: ConnectionSource
}

/**
 * - `undone`: nothing of it was committed, and another attempt may make sense, depending on `reason`. That is the class of
 *   `cause`; what was thrown, `error`, may be something that the callback has made of it.
 * - `late`: nothing of it was committed, and its time is over.
 * - `ended`: a statement of the callback ended it, and the callback failed after that: never run again.
 */
type Outcome<T> = { readonly hooks: Hooks } & (
  | { readonly kind: 'committed'; readonly value: T }
  | { readonly kind: 'undone'; readonly error: unknown; readonly reason: ErrorClass; readonly cause: unknown }
  | { readonly kind: 'late'; readonly error: unknown }
  | { readonly kind: 'unknown'; readonly error: unknown }
  | { readonly kind: 'ended'; readonly fate: ManualEnd; readonly error: unknown }
)

/** Ends the turn as soon as the connection is back: hooks are no longer part of it. */
async function attemptInTurn<T>(call: Call<T>, retries: readonly RetryReason[], turn: Turn): Promise<Outcome<T>> {
  let became: TurnOutcome = 'other'
  try {
    const outcome = await attemptOnce(call, retries)
    if (outcome.kind === 'committed') became = 'succeeded'
    else if (outcome.kind === 'undone' && isConflict(outcome.reason)) became = 'conflict'
    return outcome
  } finally {
    turn.left(became)
  }
}

async function attemptOnce<T>(call: Call<T>, retries: readonly RetryReason[]): Promise<Outcome<T>> {
  const { environment, fn, options, deadline, holder, source } = call
  const { ambient, server } = environment
  const { clock } = server.environment
  const overdue = Promise.withResolvers<never>()
  let late: Error | undefined
  const proof = commitProof(options, clock)
  const preludes = beginPreludes(options, proof)
  const giveUp = (error: Error): void => {
    late = error
    overdue.reject(error)
  }
  const transaction = new ServerTransaction(
    source,
    clock,
    preludes,
    deadline,
    giveUp,
    commitFollower(environment, options),
  )
  const scope = new TransactionScope(transaction, ambient, clock, retries, options)
  const { hooks } = scope
  try {
    const work = ambient.run({ transaction: scope, holder }, async () => await fn(scope))
    const value = await (deadline.isNone ? work : Promise.race([work, overdue.promise]))
    await scope.settled()
    scope.close('committed')
    const { endedManually } = transaction
    if (endedManually === 'committed') return { kind: 'committed', value, hooks }
    if (endedManually !== undefined) throw failureOf(transaction)
    await commitProven(transaction, proof, environment).catch((error: unknown) => {
      // An error of the callback keeps the stack that it came with; one of COMMIT has none that leads anywhere.
      throw withCallersStack(error)
    })
    return { kind: 'committed', value, hooks }
  } catch (error) {
    scope.close('rolled back')
    const { endedManually } = transaction
    if (endedManually !== undefined)
      return { kind: 'ended', fate: endedManually, error: ownedBy(late, server.environment) ?? error, hooks }
    if (isInstance(error, CommitUnknownError)) return { kind: 'unknown', error, hooks }
    // Late: the caller gets its answer now, and the rollback goes on in the background.
    if (late !== undefined) return { kind: 'late', error: ownedBy(late, server.environment), hooks }
    const failure = transaction.lastingFailure
    await transaction.rollback(error)
    const reason = reasonOf(error, failure, server.environment)
    return { kind: 'undone', error, reason, cause: causeOf(error, failure, reason, server.environment), hooks }
  } finally {
    transaction.abandon()
  }
}

/** Why a transaction that a statement of the callback has ended is not called committed. */
function failureOf(server: ServerTransaction): unknown {
  return server.firstFailure instanceof CommitUnknownError ? server.firstFailure : server.closedError()
}

function hookFor(outcome: ManualEnd | 'undone' | 'late'): HookName {
  if (outcome === 'committed') return 'afterCommit'
  return outcome === 'unknown' ? 'onUnknown' : 'afterRollback'
}

/** Hooks run outside of the transaction, which is over. */
async function runHooks({ ambient, events }: SessionEnvironment, hooks: Hooks, name: HookName): Promise<void> {
  if (hooks.isEmpty) return
  await ambient.run({ transaction: undefined }, () =>
    hooks.run(name, (hook, error) => {
      const heard = events.emit('hook-error', () => ({ hook, error }))
      if (!heard) warnOf(error, 'LifeguardHookWarning')
    }),
  )
}

/**
 * Why an attempt has failed. Of what the callback throws only this pool's own errors are judged: what it does beside the
 * database, such as a charge over HTTP, must not be done again because a socket of its own broke.
 *
 * A callback may wrap the server's error in one of its own, or fail over what a failed statement did not give it. Once
 * the server has undone the transaction for the sake of others, that is the reason, whatever was thrown.
 */
function reasonOf(error: unknown, failure: unknown, owner: object): ErrorClass {
  const thrown = classifyOwn(error, owner)
  if (thrown !== 'user' || failure === undefined) return thrown
  const first = classifyOwn(failure, owner)
  return isRetryableByDefault(first) || first === 'topology' ? first : thrown
}

/** What the reason is the class of: the word of the server or the connection, rather than what came of it. */
function causeOf(error: unknown, failure: unknown, reason: ErrorClass, owner: object): unknown {
  return failure !== undefined && classifyOwn(failure, owner) === reason ? failure : ownCause(error, owner)
}

/** Only where somebody asked for replicas, and only for what can do nothing but read. */
function sourceOf(environment: SessionEnvironment, options: TransactionOptions, holder: WorkContext): ConnectionSource {
  const { ambient, cluster, server } = environment
  const reads = fitsReplica(options)
    ? sourceOfReads(cluster, server, routingContextOf(ambient.current), holder)
    : undefined
  return reads ?? fromPool(server, holder, cluster)
}

/** https://www.postgresql.org/docs/18/hot-standby.html#HOT-STANDBY-USERS */
function fitsReplica({ readOnly, isolation, deferrable, locks }: TransactionOptions): boolean {
  return readOnly === true && isolation !== 'serializable' && deferrable !== true && locks === undefined
}

async function isWorthRetrying(reason: ErrorClass, { environment, source }: Call<unknown>): Promise<boolean> {
  if (reason === 'topology') return (await source.elsewhere?.()) === true
  if (reason !== 'connection') return isRetryableByDefault(reason)
  // A lost connection may mean that all are: then retries must not multiply the load. A conflict is a sign of progress.
  return source.isRenewable && environment.retryBudget.tryRetry()
}
