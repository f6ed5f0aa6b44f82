import { Deadline, type GivenUpReason, givenUp } from '../deadline/deadline.js'
import { assertKnownOptions, optionNames } from '../errors/known-options.js'
import { InvalidArgumentError, isInstance } from '../errors/lifeguard-error.js'
import { OperationAbortedError, OperationTimeoutError } from '../errors/operation-errors.js'
import { ownedBy } from '../errors/origin.js'
import { causeChain } from '../errors/sqlstate.js'
import type { PoolEnvironment } from '../resource-pool/resource.js'
import type { SessionEnvironment } from './environment.js'

/** What the callback of `withDeadline` gets. */
export interface DeadlineHandle {
  /** Aborted when the time is up: for what the callback does outside of the database. */
  readonly signal: AbortSignal
  /** Milliseconds that are left; never negative. */
  remainingMs(): number
}

/** Bounds for all that a callback does on the pool. */
export interface DeadlineOptions {
  /** Milliseconds from the call; `0` or more. What runs when they are over is cancelled on the server. */
  readonly timeoutMs: number
  /**
   * Aborts all that runs inside, as the end of the time does.
   *
   * @default undefined (not abortable)
   */
  readonly signal?: AbortSignal | undefined
}

const names = optionNames<DeadlineOptions>({ timeoutMs: true, signal: true })

/**
 * Runs `fn` with `timeoutMs` milliseconds for all that it does on the pool. Whatever runs inside gets the time that is
 * left, or its own `timeoutMs` if that is less; when the time is up it is cancelled on the server, and the caller gets
 * its answer, whether or not `fn` notices. Deadlines nest: the earlier one holds.
 */
export async function withDeadline<T>(
  { ambient, server }: SessionEnvironment,
  fn: (deadline: DeadlineHandle) => Promise<T>,
  options: DeadlineOptions,
): Promise<T> {
  if (typeof fn !== 'function') {
    throw new InvalidArgumentError('fn', typeof fn, 'a function; withDeadline(fn, { timeoutMs })')
  }
  assertKnownOptions(options, names)
  const { timeoutMs, signal } = options ?? {}
  if (!(typeof timeoutMs === 'number' && timeoutMs >= 0)) {
    throw new InvalidArgumentError('timeoutMs', String(timeoutMs), 'a number of milliseconds, 0 or more')
  }
  const deadline = ambient.deadlineFor({ timeoutMs, signal })
  return await runWithin({ ambient, server }, deadline, fn)
}

/** Runs `fn` within a deadline that holds for all that it does on the pool. */
export async function runWithin<T>(
  { ambient, server }: Pick<SessionEnvironment, 'ambient' | 'server'>,
  deadline: Deadline,
  fn: (deadline: DeadlineHandle) => Promise<T>,
): Promise<T> {
  const over = new AbortController()
  const handle: DeadlineHandle = {
    signal: deadline.signal === undefined ? over.signal : AbortSignal.any([deadline.signal, over.signal]),
    remainingMs: () => deadline.remainingMs(),
  }
  const work = ambient.run({ deadline }, async () => await fn(handle))
  try {
    return await deadline.within(work, 'unknown', server.environment)
  } catch (error) {
    over.abort(error)
    const reached = deadline.reached()
    if (reached === undefined) throw error
    return await lastWord(work, reached, server.environment, error)
  } finally {
    over.abort()
  }
}

function isGivenUp(error: unknown): error is OperationTimeoutError | OperationAbortedError {
  return isInstance(error, OperationTimeoutError) || isInstance(error, OperationAbortedError)
}

/** How long a callback whose time is over may take to say what became of its last statement, in milliseconds. */
const lastWordMs = 50

/** What `work` comes to, when that is soon: of a cancelled statement it is known whether it took effect. */
async function lastWord<T>(
  work: Promise<T>,
  reached: GivenUpReason,
  owner: PoolEnvironment,
  error: unknown,
): Promise<T> {
  const bound = Deadline.after(lastWordMs, owner.clock)
  const [last] = await bound.within(Promise.allSettled([work])).catch(() => [undefined])
  if (last === undefined) throw error
  if (last.status === 'fulfilled') return last.value
  for (const one of causeChain(last.reason)) {
    if (!isGivenUp(one)) continue
    throw one === last.reason ? one : ownedBy(givenUp(reached, one.outcome, last.reason), owner)
  }
  throw error
}
