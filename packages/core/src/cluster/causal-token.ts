import { formatLsn, type Lsn, parseLsn } from '../base/lsn.js'
import { InvalidOptionError } from '../errors/invalid-option-error.js'

/**
 * A moment in the history of a database: whoever has seen this place of this timeline has seen everything that was
 * committed before the token was taken.
 */
export interface CausalToken {
  /** Counts up with every promotion. https://www.postgresql.org/docs/18/continuous-archiving.html#BACKUP-TIMELINES */
  readonly timeline: number
  readonly lsn: Lsn
}

/** The first part names the version of the form. Fits into a cookie, a header and a URL as it is. */
const form = /^v1\.([1-9]\d{0,9})\.([0-9A-F]{1,8})-([0-9A-F]{1,8})$/
const greatestTimeline = 0xffff_ffff

/** The text of a token: `v1.1.0-16B3748`. */
export function formatToken({ timeline, lsn }: CausalToken): string {
  return `v1.${timeline}.${formatLsn(lsn).replace('/', '-')}`
}

/**
 * The token that a text stands for. The text is not signed and need not be trusted: one that is ahead of
 * the primary is clamped to where the primary is.
 *
 * @throws InvalidOptionError when it is not one
 */
export function parseToken(text: unknown): CausalToken {
  const parts = typeof text === 'string' ? form.exec(text) : null
  const lsn = parts === null ? undefined : parseLsn(`${parts[2]}/${parts[3]}`)
  const timeline = Number(parts?.[1])
  if (lsn === undefined || timeline > greatestTimeline) {
    const shown = typeof text === 'string' ? JSON.stringify(text.slice(0, 60)) : `of type ${typeof text}`
    throw new InvalidOptionError('token', shown, "what causalToken() gave, such as 'v1.1.0-16B3748', or undefined")
  }
  return { timeline, lsn }
}

/** The later of two moments. A place on a later timeline is later than any on an earlier one. */
export function laterToken(one: CausalToken | undefined, other: CausalToken | undefined): CausalToken | undefined {
  if (one === undefined || other === undefined) return one ?? other
  if (one.timeline !== other.timeline) return one.timeline > other.timeline ? one : other
  return one.lsn >= other.lsn ? one : other
}

/**
 * Whether a server that is on this timeline and has replayed up to `lsn` shows everything that the token stands for.
 *
 * A server on a later timeline has a history in which the token's timeline ended with a promotion. What the token stands
 * for and came after that point is lost there, with the old primary; no server of the later timeline will ever show it.
 * So a place at or behind the token's is as good as can be had. A server on an earlier timeline has not followed the
 * promotion, and its places say nothing about the token.
 */
export function shows(server: { readonly timeline: number; readonly lsn: Lsn }, token: CausalToken): boolean {
  return server.timeline >= token.timeline && server.lsn >= token.lsn
}
