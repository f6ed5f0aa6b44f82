/** Bounds of a {@link RetryBudget}. */
export interface RetryBudgetOptions {
  /**
   * Retries that may be made out of nothing, before any success paid in, and the most that successes can fill it up
   * to again; `0` never retries.
   *
   * @default 100
   */
  readonly reserve?: number
  /**
   * Retries that each success pays for.
   *
   * @default 1
   */
  readonly perSuccess?: number
}

/**
 * A token bucket that bounds how much retries can multiply the load while everything fails: successes pay in, retries
 * pay out. One pool has one, so that a thousand callers together cannot do what one alone may not. Conflicts (40001,
 * 40P01) do not pay: a server that undoes one transaction for another has just made progress.
 * https://finagle.github.io/blog/2016/02/08/retry-budgets/
 */
export class RetryBudget {
  readonly #reserve: number
  readonly #perSuccess: number
  #tokens: number

  constructor(options: RetryBudgetOptions = {}) {
    this.#reserve = options.reserve ?? 100
    this.#perSuccess = options.perSuccess ?? 1
    this.#tokens = this.#reserve
  }

  /** Retries that could be made at once. */
  get available(): number {
    return Math.floor(this.#tokens)
  }

  /** A piece of work succeeded. */
  succeeded(): void {
    if (this.#tokens < this.#reserve) this.#tokens = Math.min(this.#reserve, this.#tokens + this.#perSuccess)
  }

  /** Asks to retry once; false when the budget is spent. */
  tryRetry(): boolean {
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }
}
