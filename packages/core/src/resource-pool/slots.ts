import { type Clock, jitter, nextMicrotask, type Timer } from '../deadline/clock.js'
import type { ResolvedPoolLimits } from './limits.js'
import {
  closeReason,
  type LeakReport,
  type PoolCounts,
  type PoolEnvironment,
  type PoolObserver,
  type ResourceFactory,
  Slot,
} from './resource.js'

/** Idle resources: the one used last is used next, so that those not needed grow old at the bottom. */
class IdleStack<R> {
  readonly #slots: Slot<R>[] = []

  get length(): number {
    return this.#slots.length
  }
  /** The one that would be popped. */
  get top(): Slot<R> | undefined {
    return this.#slots.at(-1)
  }

  /** The one that has idled for longest. */
  get oldest(): Slot<R> | undefined {
    return this.#slots[0]
  }

  push(slot: Slot<R>): void {
    this.#slots.push(slot)
  }

  pop(): Slot<R> | undefined {
    return this.#slots.pop()
  }

  /** Takes out the one that has idled for longest. */
  takeOldest(): Slot<R> | undefined {
    return this.#slots.shift()
  }

  /** Takes out the slot with this resource, wherever it is. */
  take(resource: R): Slot<R> | undefined {
    const at = this.#slots.findIndex((slot) => slot.resource === resource)
    return at === -1 ? undefined : this.#slots.splice(at, 1)[0]
  }

  /** Takes all out. */
  takeAll(): Slot<R>[] {
    return this.#slots.splice(0)
  }

  /**
   * Takes out those that are not fresh any more, and of the others the ones that have idled since `idleSince` or
   * longer, `spare` at most: oldest first.
   */
  sweep(isFresh: (slot: Slot<R>) => boolean, idleSince: number, spareOf: (fresh: number) => number): Slot<R>[] {
    const all = this.takeAll()
    const out = all.filter((slot) => !isFresh(slot))
    const fresh = all.filter((slot) => !out.includes(slot))
    let spare = spareOf(fresh.length)
    for (const slot of fresh) {
      if (spare > 0 && slot.idleSince <= idleSince) {
        spare -= 1
        out.push(slot)
      } else this.#slots.push(slot)
    }
    return out
  }
}

/** Frames of this package and of Node that are looked through for those of the program. */
const mostFrames = 100
/** Frames that are shown. */
const shownFrames = 10

/**
 * The folders with the code of this package, from a stack of a module of it: frames name the built form or, with source
 * maps, the source. None where a bundler has put the module into a file of the program, as nothing tells its frames from
 * those of the program there. A stack, as `import.meta` is not there where such a bundler, or jest, makes CommonJS of it.
 */
export function ownFolders(stack: unknown): readonly string[] {
  const [, frame = ''] = String(stack).split('\n')
  const path = ownFile.exec(frame)?.[1]
  if (path === undefined) return []
  // A frame has a URL, or a path that is not encoded.
  return [...new Set([path, decodeURI(path)])].flatMap((folder) => [`${folder}src/`, `${folder}dist/`])
}

const ownFile =
  /(\/(?!\/)[^:]*\/(?:@pg-lifeguard|packages)\/core\/)(?:src\/resource-pool\/slots\.ts|dist\/lifeguard\.js):\d/

/**
 * The stack of the code that called into this package, without the frames of the package itself and of Node: they would use
 * up what V8 keeps of a stack. Undefined where nothing else is on it. Costs tens of microseconds: not for every call.
 *
 * @param above what is left out, with all that it has called
 */
export function callersStack(above: (...args: never[]) => unknown): string | undefined {
  const limit = Error.stackTraceLimit
  const trace: { stack?: string } = {}
  Error.stackTraceLimit = mostFrames
  Error.captureStackTrace(trace, above)
  Error.stackTraceLimit = limit
  const frames = trace.stack?.split('\n').slice(1) ?? []
  const others = frames.filter((frame) => !passedOver.some((part) => frame.includes(part)))
  // Of the program itself, before what it uses.
  const programs = others.filter((frame) => !frame.includes('node_modules'))
  const shown = programs.length > 0 ? programs : others
  return shown.length === 0 ? undefined : shown.slice(0, shownFrames).join('\n')
}

const passedOver: readonly string[] = [
  ...ownFolders(new Error('where this package is').stack),
  '/@pg-lifeguard/',
  'node:',
  '<anonymous>)',
]

/** Remembers where each connection was acquired, and tells when one is held for too long. Costs nothing while off. */
class LeakDetector<R> {
  readonly #afterMs: number
  readonly #clock: Clock
  readonly #report: (report: LeakReport) => void
  readonly #timers = new Map<Slot<R>, Timer>()
  readonly #reported = new Set<Slot<R>>()

  constructor(afterMs: number, clock: Clock, report: (report: LeakReport) => void) {
    this.#afterMs = afterMs
    this.#clock = clock
    this.#report = report
  }

  /** The stack of whoever is acquiring; taken at the call, as it is lost once the caller waits. */
  capture(): string | undefined {
    if (this.#afterMs === 0) return undefined
    return callersStack(this.capture)
  }

  acquired(slot: Slot<R>, stack: string | undefined): void {
    if (this.#afterMs === 0) return
    slot.acquireStack = stack
    const timer = this.#clock.setTimer(
      this.#afterMs,
      () => {
        this.#timers.delete(slot)
        this.#reported.add(slot)
        this.#tell(slot, false)
      },
      true,
    )
    this.#timers.set(slot, timer)
  }

  released(slot: Slot<R>): void {
    this.#stopTimer(slot)
    if (this.#reported.delete(slot)) this.#tell(slot, true)
  }

  /** The pool has taken the connection away: it will not come back, and nobody holds it any more. */
  forget(slot: Slot<R>): void {
    this.#stopTimer(slot)
    this.#reported.delete(slot)
  }

  #stopTimer(slot: Slot<R>): void {
    const timer = this.#timers.get(slot)
    if (timer === undefined) return
    this.#clock.clearTimer(timer)
    this.#timers.delete(slot)
  }

  /** In a microtask: what a listener throws must not come between a connection and its place in the pool. */
  #tell(slot: Slot<R>, returned: boolean): void {
    const leak = { heldMs: this.#clock.now() - slot.busySince, acquireStack: slot.acquireStack, returned }
    nextMicrotask(() => this.#report(leak))
  }
}

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
  retire(slot: Slot<R>, isEvicted = false): void {
    slot.state = 'closing'
    this.#tellClosing(slot, false, isEvicted)
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

  /** Closes all that idle, `isEvicted`: not for being old, but because somebody wants new ones. */
  retireIdle(isEvicted = false): readonly Slot<R>[] {
    const idle = this.idle.takeAll()
    for (const slot of idle) this.retire(slot, isEvicted)
    return idle
  }

  /** Tears down; here too the place is free when the server has let go of it, or has had its time for that. */
  drop(slot: Slot<R>): void {
    slot.state = 'closing'
    this.#tellClosing(slot, true)
    this.#closing += 1
    void this.#factory.destroy(slot.resource).then(() => this.#gone(slot))
  }

  #tellClosing(slot: Slot<R>, isDropped: boolean, isEvicted = false): void {
    if (this.#observer.closing === undefined) return
    const circumstances = {
      isAlive: this.#factory.isAlive(slot.resource),
      suits: this.#factory.suits?.(slot.resource) !== false,
      isDropped,
      isEvicted: isEvicted || slot.generation !== this.#generation,
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
