/** How a host that fails is left out for a while. */
export interface EjectionOptions {
  /** Failures in a row after which it is left out. @default 3 */
  readonly failures?: number
  /** How long, the first time, in milliseconds; twice as long each further time. @default 1000 */
  readonly baseMs?: number
  /** The longest, in milliseconds. @default 30000 */
  readonly capMs?: number
}

/**
 * Whether one host is in use. Pure: time comes in as arguments.
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

  /** The call succeeded, or failed for a reason that is not the host's. */
  succeeded(now: number): void {
    this.#failuresInARow = 0
    if (this.isEjected(now)) return // an answer to a call from before
    if (this.#onProbation) {
      this.#onProbation = false
      this.#steps = Math.max(0, this.#steps - 1)
    }
  }

  /** The host failed. Tells whether it is out with that. */
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
 * The hosts that may be asked: those that are in; all of them when none is. A host that may answer is better than none,
 * and if all seem ill, it is likely that the fault is on this side.
 */
export function inUse<H>(
  hosts: readonly H[],
  isEjected: (host: H) => boolean,
): { hosts: readonly H[]; panic: boolean } {
  const well = hosts.filter((host) => !isEjected(host))
  return well.length > 0 || hosts.length === 0 ? { hosts: well, panic: false } : { hosts, panic: true }
}
