import type { Clock } from '../base/clock.js'
import { jitter } from '../base/random.js'
import { IdleStack } from './idle-stack.js'
import { LeakDetector } from './leak-detector.js'
import type { PoolCounts } from './pool-counts.js'
import type { PoolEnvironment } from './pool-environment.js'
import type { ResolvedPoolLimits } from './pool-limits.js'
import { closeReason, type PoolObserver } from './pool-observer.js'
import type { ResourceFactory } from './resource-factory.js'
import { Slot } from './slot.js'

/** What the slots need of the pool that they are in. */
export interface SlotsEvents<R> {
  /** Whether the pool ends: that is then why one is closed. */
  readonly isEnding: () => boolean
  /** Whether there are more than there may be, now that the pool was made smaller. */
  readonly hasSurplus: () => boolean
  /** One was asked for a sign of life, and gave it: it is to be used by somebody. */
  readonly checked: (slot: Slot<R>) => void
  /** One was asked for a sign of life in vain, and goes. */
  readonly failedCheck: () => void
  /** One is gone, and its place is free. */
  readonly gone: () => void
}

/** Lifetimes are spread by a tenth, so that connections opened together do not all end together. */
const lifetimeSpread = 0.1

/**
 * Every resource that the pool has, and the ways of each through its states: idle, being checked, busy, on its way out.
 * Who gets which one is not decided here.
 */
export class Slots<R> {
  /** Those that nobody uses. */
  readonly idle = new IdleStack<R>()
  readonly #factory: ResourceFactory<R>
  readonly #limits: ResolvedPoolLimits
  readonly #clock: Clock
  readonly #environment: PoolEnvironment
  readonly #counts: PoolCounts
  readonly #observer: PoolObserver<R>
  readonly #events: SlotsEvents<R>
  readonly #leaks: LeakDetector<R>
  readonly #all = new Set<Slot<R>>()
  #active = 0
  #checking = 0
  #closing = 0
  #generation = 0
  #doubtedAt = Number.NEGATIVE_INFINITY

  constructor(
    factory: ResourceFactory<R>,
    limits: ResolvedPoolLimits,
    environment: PoolEnvironment,
    counts: PoolCounts,
    observer: PoolObserver<R>,
    events: SlotsEvents<R>,
  ) {
    this.#factory = factory
    this.#limits = limits
    this.#environment = environment
    this.#clock = environment.clock
    this.#counts = counts
    this.#observer = observer
    this.#events = events
    this.#leaks = new LeakDetector(limits.leakDetectionMs, environment.clock, (report) => {
      if (!report.returned) counts.leaks += 1
      factory.onLeak?.(report)
    })
  }

  /** All, those on their way out included. */
  get total(): number {
    return this.#all.size
  }
  /** Those in use. */
  get active(): number {
    return this.#active
  }
  /** Those that are asked for a sign of life now. */
  get checking(): number {
    return this.#checking
  }
  /** Those on their way out. */
  get closing(): number {
    return this.#closing
  }
  /** That of the resources that are opened now; older ones are not used again. */
  get generation(): number {
    return this.#generation
  }
  /** Those in use, one by one. */
  *busy(): Generator<Slot<R>, void, undefined> {
    for (const slot of this.#all) if (slot.state === 'busy') yield slot
  }
  /** The one that has been in use for longest. */
  get longestHeld(): Slot<R> | undefined {
    let longest: Slot<R> | undefined
    for (const slot of this.busy()) if (longest === undefined || slot.busySince < longest.busySince) longest = slot
    return longest
  }

  /** Whether this one is there still. */
  has(slot: Slot<R>): boolean {
    return this.#all.has(slot)
  }

  /** Whether one is left of an earlier generation. */
  hasOlder(generation: number): boolean {
    for (const slot of this.#all) if (slot.generation < generation) return true
    return false
  }

  /** Lets none that there is now, or that is being opened, be used again; returns the generation of the next ones. */
  beginGeneration(): number {
    this.#generation += 1
    return this.#generation
  }

  /** One that has just been opened. */
  add(resource: R, generation: number): Slot<R> {
    this.#counts.opened += 1
    const now = this.#clock.now()
    const { maxLifetimeMs } = this.#limits
    const lifetime =
      maxLifetimeMs === Number.POSITIVE_INFINITY
        ? maxLifetimeMs
        : jitter(maxLifetimeMs, lifetimeSpread, this.#environment.random)
    const slot = new Slot(resource, generation, now, now + lifetime)
    this.#all.add(slot)
    return slot
  }

  /** Whether it may be used (again). */
  isFresh(slot: Slot<R>): boolean {
    const { maxUses } = this.#limits
    return (
      slot.generation === this.#generation &&
      (maxUses === 0 || slot.uses < maxUses) &&
      (slot.expiresAt === Number.POSITIVE_INFINITY || this.#clock.now() < slot.expiresAt) &&
      this.#factory.isAlive(slot.resource) &&
      this.#factory.suits?.(slot.resource) !== false
    )
  }

  /** Something has ended one of them from outside: those that are idle now may have ended with it. */
  doubtIdle(): void {
    this.#doubtedAt = this.#clock.now()
  }

  /**
   * Whether it is asked for a sign of life before it is handed out: it has idled for long, or another one was lost while
   * it did.
   */
  needsCheck(slot: Slot<R>): boolean {
    const { validateAfterIdleMs } = this.#limits
    if (slot.idleSince <= this.#doubtedAt) return true
    return validateAfterIdleMs !== Number.POSITIVE_INFINITY && this.#clock.now() - slot.idleSince > validateAfterIdleMs
  }

  /** Asks it for a sign of life. */
  check(slot: Slot<R>): void {
    slot.state = 'checking'
    this.#checking += 1
    void this.#factory.check(slot.resource).then((alive) => {
      if (slot.state !== 'checking') return // taken away meanwhile
      this.#checking -= 1
      if (alive) this.#events.checked(slot)
      else {
        this.#counts.failedValidation += 1
        this.drop(slot)
        this.#events.failedCheck()
      }
    })
  }

  /** The stack of whoever is acquiring, while leaks are looked for. */
  captureStack(): string | undefined {
    return this.#leaks.capture()
  }

  /** It is held for as long as its user has asked for: that is no leak. */
  heldAsAsked(slot: Slot<R>): void {
    this.#leaks.forget(slot)
  }

  /** Into the hands of a caller, who has waited since then, or not at all. */
  handOut(slot: Slot<R>, stack: string | undefined, since?: number): Slot<R> {
    slot.state = 'busy'
    slot.uses += 1
    slot.busySince = this.#clock.now()
    this.#active += 1
    this.#counts.acquired += 1
    this.#leaks.acquired(slot, stack)
    slot.waitedMs = since === undefined ? 0 : slot.busySince - since
    this.#observer.acquired?.(slot, slot.waitedMs)
    return slot
  }

  /** One more caller for one that is in use. */
  join(slot: Slot<R>, waitedMs: number): void {
    slot.uses += 1
    this.#observer.joined?.(slot, waitedMs)
  }

  /** Out of the hands of its caller; false when it was not in any. */
  takeBack(slot: Slot<R>): boolean {
    if (slot.state !== 'busy') return false
    this.#active -= 1
    this.#counts.released += 1
    this.#leaks.released(slot)
    slot.acquireStack = undefined
    this.#observer.released?.(slot)
    return true
  }

  /** Takes every one away from whoever holds it, and from checks. */
  confiscateAll(): void {
    for (const slot of this.#all) {
      if (slot.state === 'busy') {
        this.#active -= 1
        this.#counts.released += 1
        this.#leaks.forget(slot)
        this.#observer.released?.(slot)
        this.drop(slot)
      } else if (slot.state === 'checking') {
        this.#checking -= 1
        this.drop(slot)
      }
    }
  }

  /** Closes politely; the place is free when the resource is gone, so that the server never sees more than `max`. */
  retire(slot: Slot<R>, isFlushed = false): void {
    slot.state = 'closing'
    this.#tellClosing(slot, false, isFlushed)
    this.#closing += 1
    void this.#factory.close(slot.resource).then(() => this.#gone(slot))
  }

  /** Closes the one that has idled for longest; false when none idles. */
  retireOldest(): boolean {
    const oldest = this.idle.takeOldest()
    if (oldest === undefined) return false
    this.retire(oldest)
    return true
  }

  /** Closes all that idle, `isFlushed`: not for being old, but because somebody wants new ones. */
  retireIdle(isFlushed = false): readonly Slot<R>[] {
    const idle = this.idle.takeAll()
    for (const slot of idle) this.retire(slot, isFlushed)
    return idle
  }

  /** Tears down; here too the place is free when the server has let go of it, or has had its time for that. */
  drop(slot: Slot<R>): void {
    slot.state = 'closing'
    this.#tellClosing(slot, true)
    this.#closing += 1
    void this.#factory.destroy(slot.resource).then(() => this.#gone(slot))
  }

  #tellClosing(slot: Slot<R>, isDropped: boolean, isFlushed = false): void {
    if (this.#observer.closing === undefined) return
    const circumstances = {
      isAlive: this.#factory.isAlive(slot.resource),
      suits: this.#factory.suits?.(slot.resource) !== false,
      isDropped,
      isFlushed: isFlushed || slot.generation !== this.#generation,
      isEnding: this.#events.isEnding(),
      isSurplus: this.#events.hasSurplus(),
      maxUses: this.#limits.maxUses,
      now: this.#clock.now(),
    }
    this.#observer.closing(slot, closeReason(slot, circumstances))
  }

  #gone(slot: Slot<R>): void {
    this.#closing -= 1
    if (this.#all.delete(slot)) this.#counts.closed += 1
    this.#events.gone()
  }
}
