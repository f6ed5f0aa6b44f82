import { causeChain } from './cause-chain.js'
import { classify, type ErrorClass, type Phase } from './classify.js'
import { LifeguardError, type LifeguardErrorCode } from './lifeguard-error.js'
import { isSurvived } from './origin.js'
import { errorWithSqlState } from './sqlstate.js'

/**
 * What the end of a call says of the host that it was made to.
 *
 * - `success`: the host did its work, be it to refuse a wrong statement.
 * - `failure`: it could not be reached, broke off, or is out of a resource.
 * - `slow`: a time limit ended the call, and the host answered to that.
 * - `neutral`: it says nothing of the host: the caller gave up, others were in the way, or the pool was busy.
 */
export type BreakerVerdict = 'success' | 'failure' | 'slow' | 'neutral'

/** By the class that `classify()` gives: the one table of codes stays the one table. */
const byClass: Readonly<Record<ErrorClass, BreakerVerdict>> = {
  connection: 'failure',
  unavailable: 'failure',
  overload: 'failure',
  host: 'failure',
  cancelled: 'slow',
  conflict: 'neutral',
  deadlock: 'neutral',
  'version-conflict': 'neutral',
  topology: 'neutral',
  contended: 'neutral',
  configuration: 'neutral',
  'outcome-unknown': 'neutral',
  'stale-plan': 'success',
  user: 'success',
}

/** Our own errors that say nothing of the host, whatever caused them. */
const neutral: ReadonlySet<LifeguardErrorCode> = new Set([
  'LIFEGUARD_ABORTED',
  'LIFEGUARD_ACQUIRE_TIMEOUT',
  'LIFEGUARD_QUEUE_FULL',
  'LIFEGUARD_OVERLOADED',
  'LIFEGUARD_SELF_DEADLOCK',
  'LIFEGUARD_POOL_CLOSED',
  'LIFEGUARD_BREAKER_OPEN',
])

/** What an error says of the host; `undefined` is a call without an error. See {@link BreakerVerdict}. */
export function breakerVerdict(error: unknown, phase: Phase = 'statement'): BreakerVerdict {
  if (error === undefined) return 'success'
  for (const one of causeChain(error)) {
    if (!LifeguardError.isInstance(one)) break
    if (neutral.has(one.code)) return 'neutral'
    // The host has done its work.
    if (one.code === 'LIFEGUARD_UNREADABLE_RESULT') return 'success'
    if (one.code === 'LIFEGUARD_TIMEOUT') return ofTimeout(one)
    if (one.code === 'LIFEGUARD_COMMIT_UNKNOWN') return breakerVerdict(one.cause ?? null, phase)
    // Nothing was sent: the connection had died before, and that was counted when it did.
    if (one.code === 'LIFEGUARD_CONNECTION_LOST') return one.retryable ? 'neutral' : 'failure'
  }
  const kind = classify(error, phase)
  const found = errorWithSqlState(error)
  // A key that is taken is an answer like any other; a lock that is taken is somebody else's doing.
  if (kind === 'contended') return found?.state.startsWith('23') === true ? 'success' : 'neutral'
  // 08007: the connection broke inside of a commit; 40003: only what came of the statement is not known.
  if (kind === 'outcome-unknown') return found?.state.startsWith('08') === true ? 'failure' : 'neutral'
  // An error that no server has sent, such as one thrown by the caller's own code.
  if (kind === 'user' && found === undefined) return 'neutral'
  // To wait does not cure a login that fails over a full disk or a damaged file, but the host is not well.
  if (kind === 'configuration' && phase === 'connect' && found !== undefined && isOfHost(found.state)) return 'failure'
  const verdict = byClass[kind]
  // Out of memory for this statement, or of room for its temporary files: the host is there and answers.
  return verdict === 'failure' && found !== undefined && isSurvived(found.error) ? 'success' : verdict
}

/** Out of a resource, or damaged. */
function isOfHost(state: string): boolean {
  return /^(?:53|58|XX)/.test(state)
}

/** A caller's time was up. What matters is whether the host still answered. */
function ofTimeout(error: object): BreakerVerdict {
  const { outcome } = error as { readonly outcome?: unknown }
  if (outcome === 'unknown') return 'failure'
  return outcome === 'cancelled' ? 'slow' : 'neutral'
}
