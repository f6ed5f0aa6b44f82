import type { Belief } from './contender.js'

/** How long two processes believed to hold the same lock at the same time. */
export interface Overlap {
  readonly ms: number
  /** Whether the one who was wrong had been stopped: a process that does not run cannot notice anything. */
  readonly wasStopped: boolean
}

/** Each belief against the later ones on the same key, in the order of their tokens. */
export function overlaps(beliefs: readonly Belief[]): Overlap[] {
  const byKey = Map.groupBy(beliefs, ({ key }) => key)
  return [...byKey.values()].flatMap((ofKey) => {
    const sorted = ofKey.toSorted((a, b) => (a.xid < b.xid ? -1 : 1))
    return sorted.flatMap((belief, at) => {
      const next = sorted[at + 1]
      if (next === undefined || next.from >= belief.until) return []
      // A process that was stopped while it was granted the lock begins to believe when it runs again.
      return [{ ms: belief.until - Math.max(belief.from, next.from), wasStopped: belief.wasStopped }]
    })
  })
}

/** The most that believed to hold something at one moment. */
export function mostAtOnce(beliefs: readonly Belief[]): number {
  const edges = beliefs.flatMap(({ from, until }) => [
    { at: from, by: 1 },
    { at: until, by: -1 },
  ])
  let inside = 0
  let most = 0
  for (const { by } of edges.toSorted((a, b) => a.at - b.at || a.by - b.by)) {
    inside += by
    most = Math.max(most, inside)
  }
  return most
}

/** The middle and the greatest of some durations, in milliseconds. */
export interface Spread {
  readonly count: number
  readonly medianMs: number
  readonly maxMs: number
}

export function spread(durations: readonly number[]): Spread {
  const sorted = durations.toSorted((a, b) => a - b)
  return { count: sorted.length, medianMs: sorted[sorted.length >> 1] ?? 0, maxMs: sorted.at(-1) ?? 0 }
}
