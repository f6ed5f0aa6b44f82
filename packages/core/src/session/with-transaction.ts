import type { Limit } from '../base/limit.js'
import { sleep } from '../base/sleep.js'
import { classify, type ErrorClass } from '../errors/classify.js'
import { givenUp } from '../errors/given-up.js'
import { InvalidOptionError } from '../errors/invalid-option-error.js'
import { operationLimit } from '../errors/operation-limit.js'
import { TransactionClosedError } from '../errors/transaction-errors.js'
import { fullJitter } from '../policy/backoff.js'
import type { Holder } from '../pool/waiter.js'
import { type ConnectionSource, fromPool } from './connection-source.js'
import { assertFits } from './nested-options.js'
import { withCallersStack } from './queryable.js'
import { ServerTransaction } from './server-transaction.js'
import type { SessionEnvironment } from './session-environment.js'
import type { Transaction } from './transaction.js'
import type { TransactionOptions } from './transaction-options.js'
import { TransactionScope } from './transaction-scope.js'

const defaultAttempts = 10

/**
 * Runs `fn` in a transaction: commits when it returns, rolls back when it throws, and runs it again when the server
 * undid it for reasons that go away. Inside of another transaction of the same pool it is a savepoint in that one.
 *
 * What is thrown is true: an error that is not CommitUnknownError means that nothing was committed.
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
    throw new InvalidOptionError('fn', `of type ${typeof fn}`, 'a function that is given the transaction')
  const { ambient, host } = environment
  const outer = ambient.current?.transaction
  if (outer !== undefined) {
    if (outer.isOver) throw new TransactionClosedError('the transaction around this code has ended')
    assertFits(options, outer)
    return await outer.withTransaction(fn, options)
  }
  const { clock, random } = host.environment
  const limit = operationLimit(options, clock)
  const retry = options.retry === false ? { attempts: 1 } : (options.retry ?? {})
  const attempts = retry.attempts ?? defaultAttempts
  if (!(Number.isInteger(attempts) && attempts >= 1)) {
    throw new InvalidOptionError('retry.attempts', String(attempts), 'a whole number, 1 or more')
  }
  const holder = ambient.current?.holder ?? { held: 0 }
  const from = source ?? fromPool(host, holder)
  for (let attempt = 1; ; attempt++) {
    const outcome = await attemptOnce(environment, from, fn, options, limit, attempt, holder)
    if (outcome.ok) {
      environment.retryBudget.succeeded()
      return outcome.value
    }
    const { error } = outcome
    if (!outcome.mayRetry || attempt >= attempts || !isWorthRetrying(outcome.kind, environment)) {
      throw withCallersStack(error)
    }
    const reached = await sleep(fullJitter(attempt, retry.backoff, random), clock, limit)
    if (reached !== undefined) throw givenUp(reached, 'cancelled', error)
  }
}

type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: unknown; readonly kind: ErrorClass; readonly mayRetry: boolean }

async function attemptOnce<T>(
  { ambient, host }: SessionEnvironment,
  source: ConnectionSource,
  fn: (tx: Transaction) => Promise<T>,
  options: TransactionOptions,
  limit: Limit,
  attempt: number,
  holder: Holder,
): Promise<Outcome<T>> {
  const overdue = Promise.withResolvers<never>()
  let late: Error | undefined
  const server = new ServerTransaction(source, host.environment.clock, options, limit, (error) => {
    late = error
    overdue.reject(error)
  })
  const scope = new TransactionScope(server, ambient, host.environment.clock, attempt, options)
  try {
    const work = ambient.run({ transaction: scope, holder }, async () => await fn(scope))
    const value = await (limit.signal === undefined && limit.timeoutMs === Number.POSITIVE_INFINITY
      ? work
      : Promise.race([work, overdue.promise]))
    await scope.settled()
    scope.close('committed')
    await server.commit()
    return { ok: true, value }
  } catch (error) {
    scope.close('rolled back')
    // Late: the caller gets its answer now, and the rollback goes on behind its back.
    if (late !== undefined) return { ok: false, error: late, kind: 'cancelled', mayRetry: false }
    await server.rollback(error)
    return { ok: false, error, kind: classOf(error, server.firstFailure), mayRetry: true }
  }
}

/**
 * A callback may wrap the server's error in one of its own, or fail over what a failed statement did not give it. Once
 * the server has undone the transaction for the sake of others, that is the reason, whatever was thrown.
 */
function classOf(error: unknown, firstFailure: unknown): ErrorClass {
  const thrown = classify(error)
  if (thrown !== 'user' || firstFailure === undefined) return thrown
  const first = classify(firstFailure)
  return first === 'conflict' || first === 'deadlock' || first === 'connection' ? first : thrown
}

function isWorthRetrying(kind: ErrorClass, { retryBudget }: SessionEnvironment): boolean {
  if (kind === 'conflict' || kind === 'deadlock') return true
  return kind === 'connection' && retryBudget.tryRetry()
}
