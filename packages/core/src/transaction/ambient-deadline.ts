import type { Clock } from '../deadline/clock.js'
import { givenUp, type Limit, type LimitReason, limitOf, limitReached, within } from '../deadline/deadline.js'
import { assertKnownOptions, optionNames } from '../errors/known-options.js'
import { InvalidArgumentError, isInstance } from '../errors/lifeguard-error.js'
import { OperationAbortedError, OperationTimeoutError } from '../errors/operation-errors.js'
import { ownedBy } from '../errors/origin.js'
import { causeChain } from '../errors/sqlstate.js'
import type { SessionEnvironment } from './environment.js'

/** What the callback of `withDeadline` gets. */
export interface Deadline {
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
  fn: (deadline: Deadline) => Promise<T>,
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
  const limit = ambient.limitFor({ timeoutMs, signal })
  return await withLimit({ ambient, server }, limit, fn)
}

/** Runs `fn` within a limit that holds for all that it does on the pool. */
export async function withLimit<T>(
  { ambient, server }: Pick<SessionEnvironment, 'ambient' | 'server'>,
  limit: Limit,
  fn: (deadline: Deadline) => Promise<T>,
): Promise<T> {
  const { clock } = server.environment
  const over = new AbortController()
  const deadline: Deadline = {
    signal: limit.signal === undefined ? over.signal : AbortSignal.any([limit.signal, over.signal]),
    remainingMs: () => Math.max(0, limit.deadlineAt - clock.now()),
  }
  const work = ambient.run({ limit }, async () => await fn(deadline))
  try {
    return await within(work, limit, clock, 'unknown', server.environment)
  } catch (error) {
    over.abort(error)
    const reached = limitReached(limit, clock)
    if (reached === undefined) throw error
    return await lastWord(work, reached, clock, error, server.environment)
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
  reached: LimitReason,
  clock: Clock,
  error: unknown,
  owner: object,
): Promise<T> {
  const bound = limitOf({ timeoutMs: lastWordMs }, clock)
  const [last] = await within(Promise.allSettled([work]), bound, clock).catch(() => [undefined])
  if (last === undefined) throw error
  if (last.status === 'fulfilled') return last.value
  for (const one of causeChain(last.reason)) {
    if (!isGivenUp(one)) continue
    throw one === last.reason ? one : ownedBy(givenUp(reached, one.outcome, last.reason), owner)
  }
  throw error
}
