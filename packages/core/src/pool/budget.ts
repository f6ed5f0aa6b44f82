import { InvalidOptionError } from '../errors/invalid-option-error.js'

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
  /** There may be a place now: it may `take` again. */
  readonly again: () => void
}

/** A pool among those that share a budget. */
export interface BudgetMember {
  /** A place for one more connection; else it will be told when to ask again, in the order of asking. */
  take(): boolean
  /** A connection is gone, or could not be opened. */
  giveBack(): void
  /** It needs no more than it has. */
  wantsNoMore(): void
  /** Whether a connection that came back is needed more by another pool. `hasWaiting`: whether it is needed here. */
  mustYield(hasWaiting: boolean): boolean
  /** Its `min` changes to this. @throws InvalidOptionError when the budget has no room for it */
  keep(min: number): void
  /** Its `min` has become smaller: an idle connection of it may be needed elsewhere. */
  mayYield(): void
  /** It has ended. */
  leave(): void
}

interface Share {
  readonly sharer: BudgetSharer
  taken: number
  /** Set while it wants a place and has none. */
  want: { isComing: boolean; passedOver: number } | undefined
}

/** A pool with one place keeps it for so many uses while one that has none waits. */
const turns = 10

/**
 * Connections that several pools share. No pool opens one without a place, and a place is free only when its connection
 * is gone, so that the servers never see more.
 *
 * Who wants a place that is not free stands in line. One is made free for it: the connection that has idled longest in
 * another pool, above the `min` of that; else the next that comes back to a pool with at least two more than the one that
 * wants, also when it has callers of its own. Pools that all want more thus end with equal shares, and none starves.
 *
 * Pure: what it knows it is told.
 */
export class Budget {
  readonly options: BudgetOptions
  /** In the order in which they began to want, for those that do. */
  readonly #wanting = new Set<Share>()
  readonly #shares = new Set<Share>()

  constructor(options: BudgetOptions) {
    this.options = options
  }

  /** Places that are taken, by connections that are open, being opened or on their way out. */
  get taken(): number {
    return sum(this.#shares, ({ taken }) => taken)
  }
  /** Pools that stand in line for a place. */
  get wanting(): number {
    return this.#wanting.size
  }

  /** One more pool. */
  join(sharer: BudgetSharer): BudgetMember {
    const share: Share = { sharer, taken: 0, want: undefined }
    this.#shares.add(share)
    return {
      take: () => this.#take(share),
      giveBack: () => this.#giveBack(share),
      wantsNoMore: () => this.#forget(share),
      mustYield: (hasWaiting) => this.#mustYield(share, hasWaiting),
      keep: (min) => this.assertRoom(min, sharer),
      mayYield: () => {
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
   * @throws InvalidOptionError
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
      throw new InvalidOptionError('min', String(min), allowed)
    }
  }

  #take(share: Share): boolean {
    if (this.#fits(share, this.#before(share))) {
      this.#forget(share)
      share.taken += 1
      return true
    }
    share.want ??= { isComing: false, passedOver: 0 }
    this.#wanting.add(share)
    this.#makeRoom(share)
    return false
  }

  #giveBack(share: Share): void {
    share.taken -= 1
    for (const { want } of this.#wanting) {
      if (want?.isComing !== true) continue
      want.isComing = false // this was it, or as good as it
      break
    }
    for (const wanting of [...this.#wanting]) {
      if (wanting.want === undefined) continue
      if (!this.#fits(wanting, this.#before(wanting))) this.#makeRoom(wanting)
      else wanting.sharer.again()
    }
  }

  #forget(share: Share): void {
    if (share.want === undefined) return
    share.want = undefined
    this.#wanting.delete(share)
  }

  /** Those who stand in line ahead of it and would get a place: one each is kept for them. */
  #before(share: Share): Share[] {
    const before: Share[] = []
    for (const one of this.#wanting) {
      if (one === share) break
      if (this.#fits(one, before)) before.push(one)
    }
    return before
  }

  #fits(share: Share, promised: readonly Share[]): boolean {
    return this.#spent(share, promised).length === 0
  }

  /** The bounds that leave no place for it, when those get theirs. Each is told by who else is under it. */
  #spent(share: Share, promised: readonly Share[]): ((other: Share) => boolean)[] {
    const { max, perDatabase, perUser } = this.options
    const { database, user } = share.sharer
    const bounds: readonly (readonly [number | undefined, (other: Share) => boolean])[] = [
      [max, () => true],
      [perDatabase, ({ sharer }) => sharer.database === database],
      [perUser, ({ sharer }) => sharer.user === user],
    ]
    return bounds.flatMap(([bound, isUnder]) => {
      const used = sum(this.#shares, (one) => (isUnder(one) ? one.taken : 0)) + promised.filter(isUnder).length
      return bound !== undefined && used >= bound ? [isUnder] : []
    })
  }

  /** Whether one connection less of that pool is a place for this one: a bound that it is not under may be spent as well. */
  #isInTheWay(of: Share, share: Share): boolean {
    const spent = this.#spent(share, [])
    return of !== share && spent.length > 0 && spent.every((isUnder) => isUnder(of))
  }

  /** Has the longest idle connection closed that stands in its way. */
  #makeRoom(share: Share): void {
    if (share.want === undefined || share.want.isComing) return
    let victim: { readonly share: Share; readonly idleSince: number } | undefined
    for (const one of this.#shares) {
      const idleSince = one.sharer.idleSince()
      if (idleSince === undefined || one.taken <= one.sharer.min() || !this.#isInTheWay(one, share)) continue
      if (victim === undefined || idleSince < victim.idleSince) victim = { share: one, idleSince }
    }
    if (victim === undefined) return
    share.want.isComing = true
    victim.share.sharer.yieldIdle()
  }

  #mustYield(share: Share, hasWaiting: boolean): boolean {
    if (this.#wanting.size === 0 || share.taken <= share.sharer.min()) return false
    for (const one of this.#wanting) {
      if (one.want === undefined || one.want.isComing || !this.#isInTheWay(share, one)) continue
      if (hasWaiting && !this.#isPoorer(one, one.want, share)) continue
      one.want.isComing = true
      return true
    }
    return false
  }

  #isPoorer(one: Share, want: { passedOver: number }, than: Share): boolean {
    if (than.taken - one.taken >= 2) return true
    if (one.taken > 0) return false
    want.passedOver += 1
    return want.passedOver >= turns
  }
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
