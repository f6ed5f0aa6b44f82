/** Upper bounds of the buckets in milliseconds: 1/16, 1/8, ... 65,536. Above the last there is one more bucket. */
export const histogramBoundsMs: readonly number[] = Object.freeze(Array.from({ length: 21 }, (_, k) => 2 ** (k - 4)))

/** Durations counted in fixed buckets; the form that Prometheus takes once its counts are summed up. */
export interface HistogramSnapshot {
  /** Upper bounds of the buckets in milliseconds, each twice the one before: from 0.0625 to 65536. */
  readonly boundsMs: readonly number[]
  /** How many durations fell into each bucket: above the bound before, up to its own. One more than bounds: the rest. */
  readonly counts: readonly number[]
  /** How many there were. */
  readonly count: number
  /** All of them together, in milliseconds. */
  readonly sumMs: number
}

const buckets = histogramBoundsMs.length
/** The smallest bound is a sixteenth of a millisecond. */
const perMs = 16
const most = 2 ** (buckets - 1)

/** Counts durations in buckets that grow by powers of two. To record one is a few integer operations, and no allocation. */
export class Histogram {
  readonly #counts = new Float64Array(buckets + 1)
  #count = 0
  #sumMs = 0

  record(ms: number): void {
    const sixteenths = Math.ceil(ms * perMs)
    const at = sixteenths <= 1 ? 0 : sixteenths > most ? buckets : 32 - Math.clz32(sixteenths - 1)
    this.#counts[at] = (this.#counts[at] ?? 0) + 1
    this.#count += 1
    this.#sumMs += ms
  }

  snapshot(): HistogramSnapshot {
    return { boundsMs: histogramBoundsMs, counts: [...this.#counts], count: this.#count, sumMs: this.#sumMs }
  }
}
