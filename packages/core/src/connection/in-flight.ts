import type { Clock } from '../deadline/clock.js'
import type { OnItsWay } from './operation.js'

/** The operations that have been sent and not yet answered, in the order in which the answers will come. */
export class InFlightQueue {
  readonly #clock: Clock
  readonly #operations: OnItsWay[] = []
  #bytes = 0
  /** When the first of them became the one that is being answered. */
  #headSince = 0
  /** When the last answer was complete, that to the login included; `-Infinity` before it. */
  answeredAt = Number.NEGATIVE_INFINITY

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get length(): number {
    return this.#operations.length
  }
  get isEmpty(): boolean {
    return this.#operations.length === 0
  }
  get bytes(): number {
    return this.#bytes
  }
  /** The one that is being answered. */
  get head(): OnItsWay | undefined {
    return this.#operations[0]
  }
  get headRanMs(): number {
    return this.isEmpty ? 0 : this.#clock.now() - this.#headSince
  }
  /** Whether those under way let others be sent after them. */
  get isSharing(): boolean {
    return this.#operations[0]?.isSharing === true
  }
  /** Whether anybody has given one of them up: it will be cancelled when its turn comes, which may hit what follows. */
  get hasGivenUp(): boolean {
    for (const { givenUp } of this.#operations) if (givenUp !== undefined) return true
    return false
  }

  all(): readonly OnItsWay[] {
    return this.#operations.slice()
  }

  add(operation: OnItsWay): void {
    operation.sentAt = this.#clock.now()
    operation.aheadMs = 0
    operation.wasAlone = this.isEmpty
    if (operation.wasAlone) this.#headSince = operation.sentAt
    this.#operations.push(operation)
    this.#bytes += operation.bytes
  }

  /** The first one has been answered; returns how long that took since it was first, in milliseconds. */
  shift(): number {
    const operation = this.#operations.shift()
    this.#bytes -= operation?.bytes ?? 0
    const now = this.#clock.now()
    const ranMs = now - this.#headSince
    this.#headSince = now
    this.answeredAt = now
    const next = this.#operations[0]
    if (next !== undefined) next.aheadMs = now - next.sentAt
    return ranMs
  }

  takeAll(): readonly OnItsWay[] {
    this.#bytes = 0
    return this.#operations.splice(0)
  }
}
