import type { Random } from '../deadline/clock.js'

/**
 * A moving average of latencies that jumps up to a peak at once and comes down slowly: a server that has become slow is
 * noticed with its first slow answer. It also comes down while nothing is measured, so that a server that nobody asks any
 * more is asked again after a while. https://linkerd.io/2016/03/16/beyond-round-robin-load-balancing-for-latency/
 */
export class PeakEwma {
  readonly #halfLifeMs: number
  #value = 0
  #at = 0

  /** @param halfLifeMs after this time without a measurement half of the value is forgotten */
  constructor(halfLifeMs: number) {
    this.#halfLifeMs = halfLifeMs
  }

  /** A latency in milliseconds that was measured at `now`. */
  observe(latencyMs: number, now: number): void {
    const before = this.value(now)
    const weight = this.#kept(now)
    // Measurements that come close together each count for little, those far apart for much: the average is over time.
    this.#value = latencyMs > before ? latencyMs : this.#value * weight + latencyMs * (1 - weight)
    this.#at = now
  }

  /** The average as it stands at `now`, in milliseconds; 0 before the first measurement. */
  value(now: number): number {
    return this.#value * this.#kept(now)
  }

  #kept(now: number): number {
    return 2 ** (-Math.max(0, now - this.#at) / this.#halfLifeMs)
  }
}

/** How a server that fails is left out for a while. */
export interface EjectionOptions {
  /** Failures in a row after which it is left out. @default 3 */
  readonly failures?: number
  /** How long, the first time, in milliseconds; twice as long each further time. @default 1000 */
  readonly baseMs?: number
  /** The longest, in milliseconds. @default 30000 */
  readonly capMs?: number
}

/**
 * Whether one server is in use. Pure: time comes in as arguments.
 *
 * - in: it is asked; `failures` in a row throw it out.
 * - out: it is not asked until `until`; then it is in again, on probation: the next failure throws it out for twice as
 *   long, and a success forgives one step.
 */
export class OutlierEjection {
  readonly #failures: number
  readonly #baseMs: number
  readonly #capMs: number
  #failuresInARow = 0
  #steps = 0
  #until = Number.NEGATIVE_INFINITY
  #onProbation = false

  constructor({ failures = 3, baseMs = 1_000, capMs = 30_000 }: EjectionOptions = {}) {
    this.#failures = failures
    this.#baseMs = baseMs
    this.#capMs = capMs
  }

  isEjected(now: number): boolean {
    return now < this.#until
  }

  /** The call succeeded, or failed for a reason that is not the server's. */
  succeeded(now: number): void {
    this.#failuresInARow = 0
    if (this.isEjected(now)) return // an answer to a call from before
    if (this.#onProbation) {
      this.#onProbation = false
      this.#steps = Math.max(0, this.#steps - 1)
    }
  }

  /** The server failed. Returns whether it is out with that. */
  failed(now: number): boolean {
    if (this.isEjected(now)) return false // a call from before: it says nothing new
    this.#failuresInARow += 1
    if (!this.#onProbation && this.#failuresInARow < this.#failures) return false
    return this.eject(now)
  }

  /** Leaves it out without waiting for further failures. */
  eject(now: number): true {
    this.#until = now + Math.min(this.#capMs, this.#baseMs * 2 ** Math.min(this.#steps, 30))
    this.#steps += 1
    this.#failuresInARow = 0
    this.#onProbation = true
    return true
  }

  /** It is known to be well again, by other means than a call. */
  readmit(now: number): void {
    if (this.isEjected(now)) this.#until = now
  }
}

/**
 * The servers that may be asked: those that are in; all of them when none is. A server that may answer is better than none,
 * and if all seem ill, it is likely that the fault is on this side.
 */
export function inUse<H>(
  hosts: readonly H[],
  isEjected: (host: H) => boolean,
): { hosts: readonly H[]; panic: boolean } {
  const well = hosts.filter((host) => !isEjected(host))
  return well.length > 0 || hosts.length === 0 ? { hosts: well, panic: false } : { hosts, panic: true }
}

/** A server that could be asked, as the balancer sees it. */
export interface Candidate {
  /** How much of the load it should get in comparison with the others; above 0. */
  readonly weight: number
  /** Its latency now, in milliseconds. */
  readonly latencyMs: number
  /** Calls that it has not answered yet. */
  readonly inFlight: number
}

/** How much dearer the drawn server must be for the other one to be taken in its place. */
const clearly = 1.5
/** Below this, differences of latency are noise. */
const leastMs = 0.25

/**
 * One of the candidates: of two that are drawn by weight, the second if it is clearly cheaper, else the first. A cost is
 * latency x (calls in flight for its weight + 1). Two choices are enough to leave a slow server alone, and unlike 'always
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
