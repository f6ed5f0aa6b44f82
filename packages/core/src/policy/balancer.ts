import type { Random } from '../base/random.js'

/** A host that could be asked, as the balancer sees it. */
export interface Candidate {
  /** How much of the load it should get in comparison with the others; above 0. */
  readonly weight: number
  /** Its latency now, in milliseconds. */
  readonly latencyMs: number
  /** Calls that it has not answered yet. */
  readonly inFlight: number
}

/** How much dearer the drawn host must be for the other one to be taken in its place. */
const clearly = 1.5
/** Below this, differences of latency are noise. */
const leastMs = 0.25

/**
 * One of the candidates: of two that are drawn by weight, the second if it is clearly cheaper, else the first. A cost is
 * latency x (calls in flight for its weight + 1). Two choices are enough to leave a slow host alone, and unlike 'always
 * the best' they do not send everybody to the same one. https://www.eecs.harvard.edu/~michaelm/postscripts/tpds2001.pdf
 */
export function pickOfTwo<C extends Candidate>(candidates: readonly C[], random: Random): C | undefined {
  const first = draw(candidates, undefined, random)
  if (first === undefined || candidates.length === 1) return first
  const second = draw(candidates, first, random)
  return second !== undefined && costOf(second) * clearly < costOf(first) ? second : first
}

function costOf({ latencyMs, inFlight, weight }: Candidate): number {
  return Math.max(latencyMs, leastMs) * (inFlight / weight + 1)
}

function draw<C extends Candidate>(candidates: readonly C[], without: C | undefined, random: Random): C | undefined {
  let sum = 0
  for (const one of candidates) if (one !== without) sum += one.weight
  let left = random() * sum
  let last: C | undefined
  for (const one of candidates) {
    if (one === without) continue
    last = one
    left -= one.weight
    if (left < 0) return one
  }
  return last
}
