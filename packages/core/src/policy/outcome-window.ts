/** What one call said of the host: see `breakerVerdict`. Neutral ones say nothing and are not kept. */
export type Outcome = 'success' | 'failure' | 'slow'

/** How many calls a window holds, and how they went. */
export interface OutcomeTally {
  readonly calls: number
  readonly failures: number
  readonly slow: number
}

/** The calls that a breaker judges by. Pure: time comes in as an argument. */
export interface OutcomeWindow {
  add(outcome: Outcome, now: number): void
  tally(now: number): OutcomeTally
  clear(): void
}

interface Bucket {
  /** Which stretch of time it is about; `-1` for none. */
  stretch: number
  calls: number
  failures: number
  slow: number
}

/** Stretches that a window of time consists of: what it forgets, it forgets in tenths. */
const stretches = 10

/** The calls of the last `windowMs` milliseconds, give or take a tenth. Its size does not depend on their number. */
export class TimeWindow implements OutcomeWindow {
  readonly #stretchMs: number
  readonly #buckets: readonly Bucket[] = Array.from({ length: stretches }, emptyBucket)

  constructor(windowMs: number) {
    this.#stretchMs = windowMs / stretches
  }

  add(outcome: Outcome, now: number): void {
    const stretch = Math.floor(now / this.#stretchMs)
    const bucket = this.#buckets[((stretch % stretches) + stretches) % stretches] as Bucket
    if (bucket.stretch !== stretch) Object.assign(bucket, emptyBucket(), { stretch })
    bucket.calls += 1
    if (outcome === 'failure') bucket.failures += 1
    else if (outcome === 'slow') bucket.slow += 1
  }

  tally(now: number): OutcomeTally {
    const oldest = Math.floor(now / this.#stretchMs) - stretches
    const sum = { calls: 0, failures: 0, slow: 0 }
    for (const { stretch, calls, failures, slow } of this.#buckets) {
      if (stretch <= oldest || calls === 0) continue
      sum.calls += calls
      sum.failures += failures
      sum.slow += slow
    }
    return sum
  }

  clear(): void {
    for (const bucket of this.#buckets) Object.assign(bucket, emptyBucket())
  }
}

/** The last `size` calls, however old. */
export class CountWindow implements OutcomeWindow {
  readonly #outcomes: Outcome[] = []
  readonly #size: number
  #next = 0
  #failures = 0
  #slow = 0

  constructor(size: number) {
    this.#size = size
  }

  add(outcome: Outcome): void {
    this.#count(this.#outcomes[this.#next], -1)
    this.#outcomes[this.#next] = outcome
    this.#count(outcome, 1)
    this.#next = (this.#next + 1) % this.#size
  }

  tally(): OutcomeTally {
    return { calls: this.#outcomes.length, failures: this.#failures, slow: this.#slow }
  }

  clear(): void {
    this.#outcomes.length = 0
    this.#next = 0
    this.#failures = 0
    this.#slow = 0
  }

  #count(outcome: Outcome | undefined, by: 1 | -1): void {
    if (outcome === 'failure') this.#failures += by
    else if (outcome === 'slow') this.#slow += by
  }
}

function emptyBucket(): Bucket {
  return { stretch: -1, calls: 0, failures: 0, slow: 0 }
}
