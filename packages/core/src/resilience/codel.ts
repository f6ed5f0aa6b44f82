/** When a queue is taken for overload, in milliseconds: see the option `overload`. */
export interface ResolvedOverload {
  readonly targetMs: number
  readonly intervalMs: number
}

/** Of those that left the queue, the share that must have left it in vain for it to count as overload: one in so many. */
const lostOneIn = 20
/**
 * A queue has grown when it is longer by this share than it ever was in the interval before: less, or less than the
 * longest, is the ebb and flow of callers who come back.
 */
const growth = 1.25
/** With fewer callers served than this, how fast the pool serves is a guess. */
const fewestServed = 10
/** Of the newest caller, in how long callers are willing to wait. */
const weight = 1 / 16

/**
 * Tells a queue that only stands from one that is overload: CoDel (RFC 8289), with the wait of callers in place of that
 * of packets. `delay` is the shortest wait of those served in an interval: while it is at most the target, the queue
 * drains now and then, and is a buffer at work.
 *
 * Two things are other than there. A long queue alone is no overload: callers that come back when they are served, a
 * hundred workers on ten connections, wait for long and lose nothing. So the delay must be above the target, and
 *
 * - at the end of an interval, callers were lost: one in twenty gave up waiting; or
 * - at any time, they are about to be: the queue grows beyond what it was, and at the rate at which the pool serves it
 *   would take longer than an interval, or than callers are willing to wait, to be through with it. To wait for that to
 *   happen would only tell what is known already.
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
  #lastTurnedAway = Number.NEGATIVE_INFINITY
  /** The interval: when it began, the longest that the queue has been in it, the shortest wait, and who left the queue. */
  #since = 0
  #longest = 0
  /** Whether it was overload for some of it: how long the queue was then is no measure for what comes next. */
  #wasSlow = false
  #delay = 0
  #served = 0
  #gaveUp = 0
  /**
   * The interval before it: the longest that the queue was, for the growth, and the rate. A queue that has just formed has
   * no length to grow from: what comes at once is a burst, and growth is what comes on top of it.
   */
  #longestBefore: number | undefined
  #wasSlowBefore = false
  #servedBefore = 0
  #lastedBefore = 0
  /** The short period in which growth is seen. */
  #periodSince = 0
  #periodLength = 0
  #periodDelay = 0

  constructor(options: ResolvedOverload) {
    this.#targetMs = options.targetMs
    this.#intervalMs = options.intervalMs
    this.#patienceMs = options.intervalMs
  }

  /** Whether who waits for too long is to be turned away. */
  get isSlow(): boolean {
    return this.#isSlow
  }
  /** A caller that has waited for longer than this is turned away while it is slow. */
  get boundMs(): number {
    return 2 * this.#targetMs
  }
  /** How often `look` wants to be called while somebody waits. */
  get periodMs(): number {
    return this.#targetMs
  }

  /** The first caller has to wait. */
  formed(now: number): void {
    // Emptied by turning callers away, a moment ago: the load is still there.
    if (!this.#isSlow || now - this.#lastServed > this.boundMs) this.restart(now)
  }

  /** The queue stands for a reason that is not load, or did until now: what has been seen of it says nothing. */
  restart(now: number, waiting?: number): void {
    this.#isSlow = false
    this.#servedBefore = 0
    this.#lastedBefore = 0
    this.#longestBefore = waiting
    this.#wasSlowBefore = false
    this.#lastTurnedAway = Number.NEGATIVE_INFINITY
    this.#begin(now)
    this.#delay = 0
    this.#beginPeriod(now, waiting ?? 0)
    this.#periodDelay = 0
  }

  /** A caller has come who waits for so long at most. */
  came(patienceMs: number): void {
    this.#patienceMs += (Math.min(patienceMs, this.#intervalMs) - this.#patienceMs) * weight
  }

  /** A caller that waited is served; `waiting` are left, the first of them since `oldestMs`. */
  served(now: number, waitedMs: number, waiting: number, oldestMs: number): void {
    this.#served += 1
    this.#lastServed = now
    // Who is served soon because those before him were turned away does not show that the queue drains.
    if (waitedMs < this.#delay && !this.#hasTurnedAwaySince(now - this.boundMs)) this.#delay = waitedMs
    if (waitedMs < this.#periodDelay) this.#periodDelay = waitedMs
    this.look(now, waiting, oldestMs)
  }

  /** A caller left the queue because its time was over. */
  gaveUp(): void {
    this.#gaveUp += 1
  }

  /** Callers who had waited for too long were turned away. */
  turnedAway(now: number): void {
    this.#lastTurnedAway = now
  }

  /** Draws the conclusions when a period is over. */
  look(now: number, waiting: number, oldestMs: number): void {
    if (now - this.#periodSince < this.#targetMs) return
    // Nobody was served: the shortest wait is that of the one who is next.
    const delay = this.#periodDelay === Number.POSITIVE_INFINITY ? oldestMs : this.#periodDelay
    if (delay > this.#targetMs && waiting > this.#periodLength && this.#cannotBeServed(now, waiting)) {
      // How short the wait was before is no sign that it is over.
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
    // Overload that was there a moment ago is not waited for again.
    return waiting / perMs > (this.#wasSlowBefore ? 2 * this.boundMs : this.#patienceMs)
  }

  #endInterval(now: number, waiting: number, oldestMs: number): void {
    const unknown = this.#hasTurnedAwaySince(this.#since) ? Number.POSITIVE_INFINITY : oldestMs
    const delay = this.#delay === Number.POSITIVE_INFINITY ? unknown : this.#delay
    const losing = this.#gaveUp > 0 && this.#gaveUp * lostOneIn >= this.#gaveUp + this.#served
    this.#isSlow = delay > this.#targetMs && (this.#isSlow || losing)
    this.#servedBefore = this.#served
    this.#lastedBefore = now - this.#since
    this.#longestBefore = this.#wasSlow ? waiting : this.#longest
    this.#wasSlowBefore = this.#wasSlow
    this.#begin(now)
  }

  #hasTurnedAwaySince(time: number): boolean {
    return this.#lastTurnedAway >= time
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
