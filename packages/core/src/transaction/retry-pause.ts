import { type Deadline, type GivenUpReason, sleep } from '../deadline/deadline.js'
import type { ErrorClass } from '../errors/classify.js'
import { type BackoffOptions, fullJitter } from '../resilience/retry.js'
import type { Turn } from '../resilience/retry-gate.js'
import type { SessionEnvironment } from './environment.js'

/** An attempt that failed and is to be made again. */
export interface FailedAttempt {
  /** Which attempt it was; `1` is the first. */
  readonly attempt: number
  readonly reason: ErrorClass
  /** What the server or the connection has said. */
  readonly error: unknown
}

/**
 * Waits until the next attempt may begin, and reports it: a pause that the caller has chosen, or that of a failure of the
 * server, or a turn among all whom a conflict has undone. Gives the turn, if there is one, or what ended the wait.
 *
 * @param mayQueue false for work that goes on to hold a connection or a lock between its attempts
 */
export async function pauseBeforeRetry(
  environment: SessionEnvironment,
  failed: FailedAttempt,
  backoff: BackoffOptions | undefined,
  deadline: Deadline,
  mayQueue: boolean,
): Promise<Turn | GivenUpReason | undefined> {
  const { ambient, counts, events, retryGate, server } = environment
  const { clock, random } = server.environment
  const { attempt, reason } = failed
  const since = clock.now()
  // Who holds what another waits for must not wait for that other one.
  const takesTurns = backoff === undefined && mayQueue && takingTurns.has(reason) && !ambient.isInsideOfWork
  // Whoever won a conflict has committed; a version may be read where that is not seen yet, and so pauses grow later on.
  const isDeadlock = reason === 'deadlock'
  const failures = takesTurns && !isDeadlock ? attempt - 1 : attempt
  const growth = backoff ?? (isDeadlock ? afterDeadlock : undefined)
  const ended = failures === 0 ? undefined : await sleep(fullJitter(failures, growth, random), clock, deadline)
  if (ended !== undefined) return ended
  const turn = takesTurns ? await retryGate.enter(deadline) : undefined
  if (turn !== undefined && turn.kind !== 'turn') return turn
  counts.retries += 1
  events.emit('retry', () => ({ ...failed, delayMs: clock.now() - since }))
  return turn
}

/**
 * Nobody has committed yet: whoever comes back before the other one has woken up takes the same row again, and both are
 * deadlocked anew. The server took a second to find the deadlock; this is little beside it.
 */
const afterDeadlock: BackoffOptions = { baseMs: 20 }

/** Somebody else was faster: what made the attempt fail is work like it. */
const takingTurns: ReadonlySet<ErrorClass> = new Set(['conflict', 'version-conflict', 'deadlock'])

/** What an attempt that failed for this reason says about how many may run at the same time. */
export function isConflict(reason: ErrorClass): boolean {
  return takingTurns.has(reason)
}
