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
  /** The one that was used last. */
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

  /** Removes the one that has idled for longest. */
  removeOldest(): Slot<R> | undefined {
    return this.#slots.shift()
  }

  /** Removes the slot with this resource, wherever it is. */
  remove(resource: R): Slot<R> | undefined {
    const at = this.#slots.findIndex((slot) => slot.resource === resource)
    return at === -1 ? undefined : this.#slots.splice(at, 1)[0]
  }

  /** Removes all. */
  removeAll(): Slot<R>[] {
    return this.#slots.splice(0)
  }

  /**
   * Removes those that are not fresh any more, and of the others the ones that have idled since `idleSince` or longer,
   * `spare` at most: oldest first.
   */
  sweep(isFresh: (slot: Slot<R>) => boolean, idleSince: number, spareOf: (fresh: number) => number): Slot<R>[] {
    const all = this.removeAll()
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

/** Frames of this package and of Node that may come before those of the program. */
const mostFrames = 100
/** Frames that are shown. */
const shownFrames = 10

/**
 * The folders with the code of this package, from a stack of a module of it: frames name the built form or, with source
 * maps, the source. None where a bundler has put the module into a file of the program, as nothing distinguishes its frames from
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

/** Remembers where each connection was acquired, and reports those that are held for too long. Costs nothing while off. */
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
        this.#reportLater(slot, false)
      },
      true,
    )
    this.#timers.set(slot, timer)
  }

  released(slot: Slot<R>): void {
    this.#stopTimer(slot)
    if (this.#reported.delete(slot)) this.#reportLater(slot, true)
  }

  /** This one is not to be reported: the pool has destroyed it, or it is held on purpose. */
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

  /** In a microtask: what a listener throws must not interrupt the pool. */
  #reportLater(slot: Slot<R>, returned: boolean): void {
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
  /** One was validated, and is to be used by somebody. */
  readonly checked: (slot: Slot<R>) => void
  /** One has failed its validation, and is destroyed. */
  readonly failedCheck: () => void
  /** One is closed, and its place is free. */
  readonly closed: () => void
}

/** Lifetimes are spread by a tenth, so that connections opened together do not all end together. */
const lifetimeSpread = 0.1

/**
 * Every resource that the pool has, and its way through the states: idle, checking, busy, closing. Who gets which one is not
 * decided here.
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
  #validateSince = Number.NEGATIVE_INFINITY

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

  /** All, those being closed included. */
  get total(): number {
    return this.#all.size
  }
  /** Those in use. */
  get active(): number {
    return this.#active
  }
  /** Those being validated. */
  get checking(): number {
    return this.#checking
  }
  /** Those being closed. */
  get closing(): number {
    return this.#closing
  }
  /** The generation of the resources that are opened now; older ones are not used again. */
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

  /** Whether this one is not closed yet. */
  has(slot: Slot<R>): boolean {
    return this.#all.has(slot)
  }

  /** Whether one is left of an earlier generation. */
  hasOlder(generation: number): boolean {
    for (const slot of this.#all) if (slot.generation < generation) return true
    return false
  }

  /** None that is open now, or being opened, is used again; returns the generation of the next ones. */
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

  /** Those that are idle now are validated before their next use: they may have ended with one that was lost. */
  validateIdle(): void {
    this.#validateSince = this.#clock.now()
  }

  /**
   * Whether it is validated before it is used: it has idled for long, or another one was lost while it did.
   */
  needsCheck(slot: Slot<R>): boolean {
    const { validateAfterIdleMs } = this.#limits
    if (slot.idleSince <= this.#validateSince) return true
    return validateAfterIdleMs !== Number.POSITIVE_INFINITY && this.#clock.now() - slot.idleSince > validateAfterIdleMs
  }

  /** Validates it. */
  check(slot: Slot<R>): void {
    slot.state = 'checking'
    this.#checking += 1
    void this.#factory.check(slot.resource).then((alive) => {
      if (slot.state !== 'checking') return // destroyed meanwhile
      this.#checking -= 1
      if (alive) this.#events.checked(slot)
      else {
        this.#counts.failedValidation += 1
        this.destroy(slot)
        this.#events.failedCheck()
      }
    })
  }

  /** The stack of whoever is acquiring, while leaks are looked for. */
  captureStack(): string | undefined {
    return this.#leaks.capture()
  }

  /** It is held for as long as its user wants: that is no leak. */
  ignoreLeak(slot: Slot<R>): void {
    this.#leaks.forget(slot)
  }

  /** A caller has it now, who has waited since then, or not at all. */
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

  /** One more caller shares one that is in use. */
  join(slot: Slot<R>, waitedMs: number): void {
    slot.uses += 1
    this.#observer.joined?.(slot, waitedMs)
  }

  /** Its caller is done with it; false when it was not in use. What becomes of it next is for the pool to say. */
  release(slot: Slot<R>): boolean {
    if (slot.state !== 'busy') return false
    this.#active -= 1
    this.#counts.released += 1
    this.#leaks.released(slot)
    slot.acquireStack = undefined
    this.#observer.released?.(slot)
    return true
  }

  /** Destroys all that are in use or being validated. */
  destroyInUse(): void {
    for (const slot of this.#all) {
      if (slot.state === 'busy') {
        this.#active -= 1
        this.#counts.released += 1
        this.#leaks.forget(slot)
        this.#observer.released?.(slot)
        this.destroy(slot)
      } else if (slot.state === 'checking') {
        this.#checking -= 1
        this.destroy(slot)
      }
    }
  }

  /** Closes in order; the place is free when the resource is closed, so that the server never sees more than `max`. */
  close(slot: Slot<R>, isEvicted = false): void {
    slot.state = 'closing'
    this.#reportClosing(slot, false, isEvicted)
    this.#closing += 1
    void this.#factory.close(slot.resource).then(() => this.#closed(slot))
  }

  /** Closes the one that has idled for longest; false when none idles. */
  closeOldest(): boolean {
    const oldest = this.idle.removeOldest()
    if (oldest === undefined) return false
    this.close(oldest)
    return true
  }

  /** Closes all that idle, `isEvicted`: not for being old, but because somebody wants new ones. */
  closeIdle(isEvicted = false): readonly Slot<R>[] {
    const idle = this.idle.removeAll()
    for (const slot of idle) this.close(slot, isEvicted)
    return idle
  }

  /** Tears down; the place is free when the server has ended it too, or has had its time to do so. */
  destroy(slot: Slot<R>): void {
    slot.state = 'closing'
    this.#reportClosing(slot, true)
    this.#closing += 1
    void this.#factory.destroy(slot.resource).then(() => this.#closed(slot))
  }

  #reportClosing(slot: Slot<R>, isDestroyed: boolean, isEvicted = false): void {
    if (this.#observer.closing === undefined) return
    const circumstances = {
      isAlive: this.#factory.isAlive(slot.resource),
      suits: this.#factory.suits?.(slot.resource) !== false,
      isDestroyed,
      isEvicted: isEvicted || slot.generation !== this.#generation,
      isEnding: this.#events.isEnding(),
      isSurplus: this.#events.hasSurplus(),
      maxUses: this.#limits.maxUses,
      now: this.#clock.now(),
    }
    this.#observer.closing(slot, closeReason(slot, circumstances))
  }

  #closed(slot: Slot<R>): void {
    this.#closing -= 1
    if (this.#all.delete(slot)) this.#counts.closed += 1
    this.#events.closed()
  }
}
