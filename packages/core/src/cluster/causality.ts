import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import { formatLsn, type Lsn, parseLsn } from './replica-lag.js'

/**
 * A moment in the history of a database: whoever has seen this position of this timeline has seen everything that was
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
 * The token that a string stands for. The string is not signed and need not be trusted: one that is ahead of
 * the primary is clamped to where the primary is.
 *
 * @throws InvalidArgumentError when it is not one
 */
export function parseToken(text: unknown): CausalToken {
  const parts = typeof text === 'string' ? form.exec(text) : null
  const lsn = parts === null ? undefined : parseLsn(`${parts[2]}/${parts[3]}`)
  const timeline = Number(parts?.[1])
  if (lsn === undefined || timeline > greatestTimeline) {
    const shown = typeof text === 'string' ? JSON.stringify(text.slice(0, 60)) : `of type ${typeof text}`
    throw new InvalidArgumentError('token', shown, "what causalToken() gave, such as 'v1.1.0-16B3748', or undefined")
  }
  return { timeline, lsn }
}

/** The later of two moments. A position on a later timeline is later than any on an earlier one. */
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
 * So a position at or after the token's is as good as can be had. A server on an earlier timeline has not followed the
 * promotion, and its positions say nothing about the token.
 */
export function shows(server: { readonly timeline: number; readonly lsn: Lsn }, token: CausalToken): boolean {
  return server.timeline >= token.timeline && server.lsn >= token.lsn
}

/**
 * What one line of work, a request say, has written or heard of, so that its reads show it. A nested one begins with
 * what the outer one has seen, and hands its own writes up.
 */
export class Causality {
  readonly #parent: Causality | undefined
  #token: CausalToken | undefined
  /** What the primary itself has reported to this line of work: no part of it can be made up. */
  #noted: CausalToken | undefined
  /** Whether some of the token was given from outside, where anybody may make one up, and was not compared with the primary. */
  #isDoubtful: boolean
  /** Positions of writes that are being asked for. */
  readonly #pending = new Set<Promise<void>>()
  /** How often something was written of which no position is known: only the primary surely shows it. */
  #unknowns = 0
  #unknownsSettled = 0

  constructor(token: CausalToken | undefined, parent?: Causality) {
    this.#token = laterToken(token, parent?.token)
    this.#unknowns = parent?.isUnknown === true ? 1 : 0
    this.#noted = parent === undefined ? undefined : parent.#noted
    this.#isDoubtful = token !== undefined || parent?.isDoubtful === true
    this.#parent = parent
    // What the outer one has written and waits for is what this one must see, too.
    if (parent === undefined) return
    for (const pending of parent.#pending) this.#await(pending.then(() => this.#takeOver(parent)))
  }

  /** What is known so far; writes whose position is being asked for are not in it. */
  get token(): CausalToken | undefined {
    return this.#token
  }

  /** Whether the token may be ahead of the primary: one that was made up, or that is of another database system. */
  get isDoubtful(): boolean {
    return this.#isDoubtful
  }

  /** Whether something was written whose position could not be had. */
  get isUnknown(): boolean {
    return this.#unknowns > this.#unknownsSettled
  }

  /** Counts up with each write of unknown position: what `settleUnknown` gets, from before the position was asked for. */
  get unknowns(): number {
    return this.#unknowns
  }

  get isPending(): boolean {
    return this.#pending.size > 0
  }

  /** What is shown must include this moment. */
  note(token: CausalToken): void {
    this.#token = laterToken(this.#token, token)
    this.#noted = laterToken(this.#noted, token)
    this.#parent?.note(token)
  }

  /** The token was held against the primary, and it can have come from there. */
  believe(): void {
    this.#isDoubtful = false
  }

  /** The token is ahead of the primary, which is here: nothing that was ever committed is later than that. */
  clamp(position: CausalToken): void {
    this.#token = laterToken(position, this.#noted)
    this.#isDoubtful = false
    if (this.#parent?.isDoubtful === true) this.#parent.clamp(position)
  }

  /** Something was written of which nothing is known but that it is before whatever is asked for next. */
  noteUnknown(): void {
    this.#unknowns += 1
    this.#parent?.noteUnknown()
  }

  /** The first `unknowns` writes of unknown position are at or before this moment. */
  settleUnknown(token: CausalToken, unknowns: number): void {
    this.note(token)
    this.#unknownsSettled = Math.max(this.#unknownsSettled, unknowns)
  }

  /** The position of a write is on its way; a failure to get it makes the position unknown. */
  noteSoon(position: Promise<CausalToken>): void {
    const settled = position.then(
      (token) => this.note(token),
      () => this.noteUnknown(),
    )
    for (let scope: Causality | undefined = this; scope !== undefined; scope = scope.#parent) scope.#await(settled)
  }

  /** Settles when the position of every write up to now is known or known to be unknown. Never rejects. */
  async settled(): Promise<void> {
    await Promise.all(this.#pending)
  }

  #takeOver(parent: Causality): void {
    this.#token = laterToken(this.#token, parent.token)
    this.#noted = laterToken(this.#noted, parent.#noted)
    if (parent.isUnknown) this.#unknowns += 1
  }

  #await(settled: Promise<void>): void {
    this.#pending.add(settled)
    void settled.then(() => this.#pending.delete(settled))
  }
}
