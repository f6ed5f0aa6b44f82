/**
 * So many at once, and then only as fast as they come back: a token bucket. Pure: time comes in as an argument.
 * https://en.wikipedia.org/wiki/Token_bucket
 */
export class RateLimit {
  readonly #most: number
  readonly #perMs: number
  #left: number
  #at = Number.NEGATIVE_INFINITY

  constructor(most: number, perMs: number) {
    this.#most = most
    this.#perMs = perMs
    this.#left = most
  }

  /** Takes one, if there is one. */
  tryTake(now: number): boolean {
    this.#left = Math.min(this.#most, this.#left + (now - this.#at) * this.#perMs)
    this.#at = now
    if (this.#left < 1) return false
    this.#left -= 1
    return true
  }
}
