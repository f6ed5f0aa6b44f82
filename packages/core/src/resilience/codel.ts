/** When a queue is taken for overload, in milliseconds: see the option `overload`. */
export interface ResolvedOverload {
  readonly targetMs: number
  readonly intervalMs: number
}

/** The share of those that left the queue that must have given up for it to count as overload: one in so many. */
const lostOneIn = 20
/**
 * A queue has grown when it is longer by this factor than it ever was in the interval before: less is the normal variation
 * of callers who ask again when they are served.
 */
const growth = 1.25
/** With fewer callers served than this, how fast the pool serves is a guess. */
const fewestServed = 10
/** The weight of the newest caller in how long callers are willing to wait. */
const weight = 1 / 16

/**
 * Distinguishes a queue that is only long from overload: CoDel (RFC 8289), with the wait of callers in place of that of
 * packets. `delay` is the shortest wait of those served in an interval: while it is at most the target, the queue
 * drains now and then, and is a buffer at work.
 *
 * Two things differ from CoDel. A long queue alone is no overload: callers that ask again when they are served, a hundred
 * workers on ten connections, wait for long and lose nothing. So the delay must be above the target, and
 *
 * - at the end of an interval, callers were lost: one in twenty gave up; or
 * - at any time, they are about to be: the queue grows beyond what it was, and at the rate at which the pool serves,
 *   emptying it would take longer than an interval, or than callers are willing to wait.
 *
 * Pure: time comes in as arguments.
 */
export class Codel {
  readonly #targetMs: number
  readonly #intervalMs: number
  #isSlow = false
  /** How long callers are willing to wait, on average; the interval at most. */
  #patienceMs: number
  #lastServed = 0
  #lastShed = Number.NEGATIVE_INFINITY
  /** The interval: when it began, the longest that the queue has been in it, the shortest wait, and how many left the queue. */
  #since = 0
  #longest = 0
  /** Whether there was overload in some of it: how long the queue was then is no measure for what comes next. */
  #wasSlow = false
  #delay = 0
  #served = 0
  #gaveUp = 0
  /**
   * The interval before it: the longest that the queue was, for the growth, and the rate. A queue that has just formed has
   * no length to compare with: what arrives at once is a burst, and growth is what arrives in addition.
   */
  #longestBefore: number | undefined
  #wasSlowBefore = false
  #servedBefore = 0
  #lastedBefore = 0
  /** The short period in which growth is measured. */
  #periodSince = 0
  #periodLength = 0
  #periodDelay = 0

  constructor(options: ResolvedOverload) {
    this.#targetMs = options.targetMs
    this.#intervalMs = options.intervalMs
    this.#patienceMs = options.intervalMs
  }

  /** Whether callers that wait for too long are to be shed. */
  get isSlow(): boolean {
    return this.#isSlow
  }
  /** A caller that has waited for longer than this is shed while it is slow. */
  get boundMs(): number {
    return 2 * this.#targetMs
  }
  /** How often `update` is to be called while somebody waits. */
  get periodMs(): number {
    return this.#targetMs
  }

  /** The first caller has to wait. */
  formed(now: number): void {
    // The queue was emptied by shedding, a moment ago: the load is still there.
    if (!this.#isSlow || now - this.#lastServed > this.boundMs) this.restart(now)
  }

  /** The queue is held up by something other than load, or was until now: what was measured means nothing. */
  restart(now: number, waiting?: number): void {
    this.#isSlow = false
    this.#servedBefore = 0
    this.#lastedBefore = 0
    this.#longestBefore = waiting
    this.#wasSlowBefore = false
    this.#lastShed = Number.NEGATIVE_INFINITY
    this.#begin(now)
    this.#delay = 0
    this.#beginPeriod(now, waiting ?? 0)
    this.#periodDelay = 0
  }

  /** A caller has arrived that waits for so long at most. */
  arrived(patienceMs: number): void {
    this.#patienceMs += (Math.min(patienceMs, this.#intervalMs) - this.#patienceMs) * weight
  }

  /** A caller that waited is served; `waiting` are left, the first of them since `oldestMs`. */
  served(now: number, waitedMs: number, waiting: number, oldestMs: number): void {
    this.#served += 1
    this.#lastServed = now
    // A caller that is served soon because those before it were shed does not show that the queue drains.
    if (waitedMs < this.#delay && !this.#hasShedSince(now - this.boundMs)) this.#delay = waitedMs
    if (waitedMs < this.#periodDelay) this.#periodDelay = waitedMs
    this.update(now, waiting, oldestMs)
  }

  /** A caller left the queue because its time was up. */
  gaveUp(): void {
    this.#gaveUp += 1
  }

  /** Callers that had waited for too long were shed. */
  shed(now: number): void {
    this.#lastShed = now
  }

  /** Judges the period when it is over. */
  update(now: number, waiting: number, oldestMs: number): void {
    if (now - this.#periodSince < this.#targetMs) return
    // Nobody was served: the shortest wait is that of the first in the queue.
    const delay = this.#periodDelay === Number.POSITIVE_INFINITY ? oldestMs : this.#periodDelay
    if (delay > this.#targetMs && waiting > this.#periodLength && this.#cannotBeServed(now, waiting)) {
      // A short wait before that does not mean that the overload is over.
      if (!this.#isSlow) this.#delay = Number.POSITIVE_INFINITY
      this.#isSlow = true
      this.#wasSlow = true
    }
    this.#longestBefore ??= waiting
    if (waiting > this.#longest) this.#longest = waiting
    this.#beginPeriod(now, waiting)
    if (now - this.#since >= this.#intervalMs) this.#endInterval(now, waiting, oldestMs)
  }

  #cannotBeServed(now: number, waiting: number): boolean {
    const served = this.#servedBefore + this.#served
    const before = this.#longestBefore
    if (served < fewestServed || before === undefined || waiting < growth * before) return false
    const perMs = served / (this.#lastedBefore + now - this.#since)
    // Overload that was there a moment ago is assumed sooner.
    return waiting / perMs > (this.#wasSlowBefore ? 2 * this.boundMs : this.#patienceMs)
  }

  #endInterval(now: number, waiting: number, oldestMs: number): void {
    const unknown = this.#hasShedSince(this.#since) ? Number.POSITIVE_INFINITY : oldestMs
    const delay = this.#delay === Number.POSITIVE_INFINITY ? unknown : this.#delay
    const losing = this.#gaveUp > 0 && this.#gaveUp * lostOneIn >= this.#gaveUp + this.#served
    this.#isSlow = delay > this.#targetMs && (this.#isSlow || losing)
    this.#servedBefore = this.#served
    this.#lastedBefore = now - this.#since
    this.#longestBefore = this.#wasSlow ? waiting : this.#longest
    this.#wasSlowBefore = this.#wasSlow
    this.#begin(now)
  }

  #hasShedSince(time: number): boolean {
    return this.#lastShed >= time
  }

  #begin(now: number): void {
    this.#since = now
    this.#longest = 0
    this.#wasSlow = this.#isSlow
    this.#delay = Number.POSITIVE_INFINITY
    this.#served = 0
    this.#gaveUp = 0
  }

  #beginPeriod(now: number, waiting: number): void {
    this.#periodSince = now
    this.#periodLength = waiting
    this.#periodDelay = Number.POSITIVE_INFINITY
  }
}
