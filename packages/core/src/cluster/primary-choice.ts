import type { Member } from './member.js'
import type { Sighting } from './sighting.js'

/** A host that takes itself for the primary. */
export interface Answer {
  readonly member: Member
  readonly sighting: Sighting
}

/** What is known of the primary so far. */
export interface KnownPrimary {
  /** Who takes writes, or did when last heard of, or is taken for it. */
  readonly writer: Member | undefined
  /** Its database system; undefined while none was seen, and on servers that do not tell. */
  readonly system: string | undefined
  /** The latest timeline that was seen; 0 while none was. */
  readonly timeline: number
}

/** Whether it may be the primary that is known, or has taken its place. */
export function isAble({ sighting }: Answer, { system, timeline }: KnownPrimary): boolean {
  return !isOfAnother(system, sighting) && timelineOf(sighting) >= timeline
}

/**
 * Which of those that take themselves for the primary is the one: of one database system that on the latest timeline. The
 * system is the one that is known, else that of the writer, else that of the first of the list that answered. When none
 * of the known system is left, and the writer is of another one now, that is what the primary has become.
 */
export function choosePrimary(
  answers: readonly Answer[],
  members: readonly Member[],
  known: KnownPrimary,
): Answer | undefined {
  const inOrder = [known.writer, ...members].flatMap((one) => answers.filter(({ member }) => member === one))
  const able = inOrder.filter((answer) => isAble(answer, known))
  const isSucceeded = inOrder.some(
    ({ member, sighting }) => member === known.writer && isOfAnother(known.system, sighting),
  )
  const candidates = able.length > 0 || !isSucceeded ? able : inOrder
  let best = candidates[0]
  const system = best?.sighting.system
  for (const answer of candidates) {
    if (best === undefined || isOfAnother(system, answer.sighting)) continue
    if (timelineOf(answer.sighting) > timelineOf(best.sighting)) best = answer
  }
  return best
}

/** Whether that was a server of another system than this one, as far as both are known. */
export function isOfAnother(known: string | undefined, { system }: Sighting): boolean {
  return known !== undefined && system !== undefined && system !== known
}

/** That of a server that does not tell is older than any: where others tell, it is no safe place to write to. */
export function timelineOf({ timeline = 0 }: Sighting): number {
  return timeline
}
