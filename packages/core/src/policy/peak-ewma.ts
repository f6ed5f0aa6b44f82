/**
 * A moving average of latencies that jumps up to a peak at once and comes down slowly: a host that has become slow is
 * noticed with its first slow answer. It also comes down while nothing is measured, so that a host that nobody asks any
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
