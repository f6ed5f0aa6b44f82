import { assertKnownOptions, optionNames } from '../errors/known-options.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'

/** How many connections several pools may have together. */
export interface BudgetOptions {
  /** Most connections of all pools together, `1` or more. */
  readonly max: number
  /** Most connections to any one database, over all pools on it. @default no bound of its own */
  readonly perDatabase?: number | undefined
  /** Most connections of any one user on any one server, over all its pools. @default no bound of its own */
  readonly perUser?: number | undefined
}

/** What the budget needs of a pool that shares it. */
export interface BudgetSharer {
  /** The database, with its server. */
  readonly database: string
  /** The user, with its server. */
  readonly user: string
  /** Connections that are never taken from it. */
  readonly min: () => number
  /** Since when its longest idle connection idles; undefined when it has none. */
  readonly idleSince: () => number | undefined
  /** Closes its longest idle connection. */
  readonly yieldIdle: () => void
  /** Called when there may be room now: it may call `tryAcquire` again. */
  readonly again: () => void
}

/** A pool among those that share a budget. */
export interface BudgetMember {
  /** Reserves room for one more connection. Where there is none, `again` is called later, first come, first served. */
  tryAcquire(): boolean
  /** A connection was closed, or could not be opened: its room is free. */
  release(): void
  /** It waits for no further connection. */
  stopWaiting(): void
  /** Whether a released connection is needed more by another pool. `hasWaiting`: whether it is needed here. */
  mustYield(hasWaiting: boolean): boolean
  /** Its `min` may become this. @throws InvalidArgumentError when the budget has no room for it */
  assertRoom(min: number): void
  /** Its `min` has become smaller: an idle connection of it may be needed elsewhere. */
  minLowered(): void
  /** It has ended. */
  leave(): void
}

interface Share {
  readonly sharer: BudgetSharer
  taken: number
  /** Of the taken ones, those that are being closed to make room. */
  leaving: number
  /** Set while it waits for a place. */
  want: { passedOver: number } | undefined
}

/** Whether a pool is under some bound. */
type Under = (share: Share) => boolean

/** Others keep their places for so many uses while one that has none waits. */
const turns = 10

/**
 * Connections that several pools share. No pool opens one without a place, and a place is free only when its connection
 * is closed, so that the servers never see more.
 *
 * A pool that wants a place when none is free waits in a queue. One is made free for it: the connection that has idled
 * longest in another pool, above the `min` of that; else the next that is released to a pool with at least two more than
 * the one that waits, also when it has callers of its own. So pools that all want more end with equal shares, and none
 * starves.
 *
 * When two bounds are reached, that of its database and that of its user, one connection less under each may be needed.
 * Both are closed together when both are idle. When that never happens, a pool without any connection is due after a
 * while: what is released under either bound is closed, and its place is reserved.
 *
 * Pure: everything it knows comes in through its methods.
 */
export class Budget {
  readonly options: BudgetOptions
  /** In the order in which they began to want, for those that do. */
  readonly #wanting = new Set<Share>()
  readonly #shares = new Set<Share>()

  constructor(options: BudgetOptions) {
    this.options = options
  }

  /** Places that are taken, by connections that are open, being opened or being closed. */
  get taken(): number {
    return sum(this.#shares, ({ taken }) => taken)
  }
  /** Pools that wait for a place. */
  get wanting(): number {
    return this.#wanting.size
  }

  /** One more pool. */
  join(sharer: BudgetSharer): BudgetMember {
    const share: Share = { sharer, taken: 0, leaving: 0, want: undefined }
    this.#shares.add(share)
    return {
      tryAcquire: () => this.#tryAcquire(share),
      release: () => this.#release(share),
      stopWaiting: () => this.#forget(share),
      mustYield: (hasWaiting) => this.#mustYield(share, hasWaiting),
      assertRoom: (min) => this.assertRoom(min, sharer),
      minLowered: () => {
        for (const one of this.#wanting) this.#makeRoom(one)
      },
      leave: () => {
        this.#forget(share)
        this.#shares.delete(share)
      },
    }
  }

  /**
   * Checks that every pool can keep its `min`, this one with `min` too.
   *
   * @throws InvalidArgumentError
   */
  assertRoom(min: number, sharer: Pick<BudgetSharer, 'database' | 'user'>): void {
    const { max, perDatabase = max, perUser = max } = this.options
    const others = [...this.#shares].filter((share) => share.sharer !== sharer)
    const kept = (isUnder: (one: BudgetSharer) => boolean): number =>
      min + sum(others, (share) => (isUnder(share.sharer) ? share.sharer.min() : 0))
    const bounds: readonly (readonly [string, number, number])[] = [
      ['max', max, kept(() => true)],
      ['perDatabase', perDatabase, kept(({ database }) => database === sharer.database)],
      ['perUser', perUser, kept(({ user }) => user === sharer.user)],
    ]
    for (const [name, bound, sumOfMins] of bounds) {
      if (sumOfMins <= bound) continue
      const allowed = `with the min of the other pools no more than ${name} of the budget (${bound})`
      throw new InvalidArgumentError('min', String(min), allowed)
    }
  }

  #tryAcquire(share: Share): boolean {
    if (this.#spentNow(share, this.#before(share)).length === 0) {
      this.#forget(share)
      share.taken += 1
      return true
    }
    share.want ??= { passedOver: 0 }
    this.#wanting.add(share)
    this.#makeRoom(share)
    return false
  }

  #release(share: Share): void {
    share.taken -= 1
    if (share.leaving > 0) share.leaving -= 1 // this was the one, or counts as the one
    for (const wanting of [...this.#wanting]) {
      if (wanting.want === undefined) continue
      if (this.#spentNow(wanting, this.#before(wanting)).length > 0) this.#makeRoom(wanting)
      else wanting.sharer.again()
    }
  }

  #forget(share: Share): void {
    if (share.want === undefined) return
    share.want = undefined
    this.#wanting.delete(share)
  }

  /** Those who wait ahead of it and get a place soon, or are due: one each is reserved for them. */
  #before(share: Share): Share[] {
    const before: Share[] = []
    for (const one of this.#wanting) {
      if (one === share) break
      if (this.#isPromised(one, before)) before.push(one)
    }
    return before
  }

  #isPromised(share: Share, before: readonly Share[]): boolean {
    return this.#spentSoon(share, before).length === 0 || this.#isDue(share, before)
  }

  /** The bounds under which it has no place, when those who are promised one get theirs. */
  #spentNow(share: Share, promised: readonly Share[]): readonly Under[] {
    return this.#spent(share, promised, ({ taken }) => taken)
  }

  /** The same, when the connections are closed that make room. */
  #spentSoon(share: Share, promised: readonly Share[]): readonly Under[] {
    return this.#spent(share, promised, ({ taken, leaving }) => taken - leaving)
  }

  #spent(share: Share, promised: readonly Share[], usedBy: (share: Share) => number): readonly Under[] {
    const { max, perDatabase, perUser } = this.options
    const { database, user } = share.sharer
    const bounds: readonly (readonly [number | undefined, Under])[] = [
      [max, () => true],
      [perDatabase, ({ sharer }) => sharer.database === database],
      [perUser, ({ sharer }) => sharer.user === user],
    ]
    return bounds.flatMap(([bound, isUnder]) => {
      const used = sum(this.#shares, (one) => (isUnder(one) ? usedBy(one) : 0)) + promised.filter(isUnder).length
      return bound !== undefined && used >= bound ? [isUnder] : []
    })
  }

  /** Closes the idle connections that take its place, the longest idle first, when that makes room for it. */
  #makeRoom(share: Share): void {
    if (share.want === undefined) return
    const promised = this.#before(share)
    const ways = this.#spentSoon(share, promised)
    const idle = this.#idleUnder(ways, share)
    if (areUnderAll(idle, ways) || this.#isDue(share, promised)) this.#yield(idle)
  }

  #yield(victims: readonly Share[]): void {
    for (const victim of victims) {
      victim.leaving += 1
      victim.sharer.yieldIdle()
    }
  }

  /** The fewest pools that have an idle connection to spare and are, together, under as many of the bounds as can be. */
  #idleUnder(ways: readonly Under[], share: Share): Share[] {
    const since = ({ sharer }: Share): number => sharer.idleSince() ?? Number.POSITIVE_INFINITY
    const able = [...this.#shares]
      .filter((one) => one !== share && mayYield(one) && one.sharer.idleSince() !== undefined)
      .sort((first, second) => since(first) - since(second))
    const victims: Share[] = []
    for (let open = ways; open.length > 0; ) {
      const counts = able.map((one) => open.filter((isUnder) => isUnder(one)).length)
      const most = Math.max(0, ...counts)
      const victim = able[counts.indexOf(most)]
      if (victim === undefined || most === 0) break
      victims.push(victim)
      open = open.filter((isUnder) => !isUnder(victim))
    }
    return victims
  }

  #mustYield(share: Share, hasWaiting: boolean): boolean {
    if (this.#wanting.size === 0 || !mayYield(share)) return false
    const before: Share[] = []
    for (const one of this.#wanting) {
      const ways = this.#spentSoon(one, before)
      if (one !== share && ways.some((isUnder) => isUnder(share))) {
        const others = ways.filter((isUnder) => !isUnder(share))
        const idle = this.#idleUnder(others, one)
        const isEnough = areUnderAll(idle, others)
        const isFair = isEnough && (!hasWaiting || share.taken - one.taken >= 2)
        if (isFair || !this.#passOver(one, before, isEnough)) {
          share.leaving += 1
          this.#yield(idle)
          return true
        }
      }
      if (this.#isPromised(one, before)) before.push(one)
    }
    return false
  }

  /** Passes it over once more; false when that has been done too often. */
  #passOver(one: Share, before: readonly Share[], isEnough: boolean): boolean {
    if (one.taken > 0 || one.want === undefined) return true
    one.want.passedOver += 1
    return isEnough ? one.want.passedOver < turns : !this.#isDue(one, before)
  }

  /** Whether it has waited without any connection for so long that what it needs is reserved for it one by one. */
  #isDue(share: Share, promised: readonly Share[]): boolean {
    if (share.taken > 0 || share.want === undefined || share.want.passedOver < turns) return false
    // Where nobody has one to spare it would be reserved in vain.
    return this.#spentSoon(share, promised).every((isUnder) => {
      return [...this.#shares].some((one) => one !== share && isUnder(one) && mayYield(one))
    })
  }
}

/** Whether each of the bounds has one of these under it. */
function areUnderAll(shares: readonly Share[], bounds: readonly Under[]): boolean {
  return bounds.every((isUnder) => shares.some(isUnder))
}

/** Whether it has more than it must keep. */
function mayYield({ taken, leaving, sharer }: Share): boolean {
  return taken - leaving > sharer.min()
}

function sum(shares: Iterable<Share>, of: (share: Share) => number): number {
  let total = 0
  for (const share of shares) total += of(share)
  return total
}

/** The budget that a pool shares with others, and what its connections count for there. */
export interface BudgetShare {
  readonly budget: Budget
  /** The database, with its server. */
  readonly database: string
  /** The user, with its server. */
  readonly user: string
}

const names = optionNames<BudgetOptions>({ max: true, perDatabase: true, perUser: true })

/**
 * A number of connections for several pools to share. They never have more together. A pool that needs one when all are
 * taken gets it from another: the longest idle one, else the next that is released to a pool with more.
 *
 * @throws InvalidArgumentError
 * @example
 * ```ts
 * import { createBudget, createPool } from '@pg-lifeguard/core'
 *
 * const budget = createBudget({ max: 20, perDatabase: 15 })
 * const shop = createPool({ connectionString: 'postgres://localhost/shop', max: 15, min: 2, budget })
 * const reports = createPool({ connectionString: 'postgres://localhost/reports', max: 10, budget })
 * ```
 */
export function createBudget(options: BudgetOptions): Budget {
  if (typeof options !== 'object' || options === null) {
    throw new InvalidArgumentError('the budget', `of type ${typeof options}`, 'an object')
  }
  assertKnownOptions(options, names, 'budget.')
  const { max, perDatabase, perUser } = options
  assertWhole('budget.max', max, Number.MAX_SAFE_INTEGER)
  if (perDatabase !== undefined) assertWhole('budget.perDatabase', perDatabase, max)
  if (perUser !== undefined) assertWhole('budget.perUser', perUser, max)
  return new Budget({ max, perDatabase, perUser })
}

function assertWhole(name: string, value: unknown, most: number): void {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= most) return
  const allowed =
    most === Number.MAX_SAFE_INTEGER ? 'a whole number, 1 or more' : `a whole number from 1 to max (${most})`
  throw new InvalidArgumentError(name, String(value), allowed)
}
