import type { WorkContext } from '../resource-pool/wait-queue.js'

/** A candidacy, as the end of the pool sees it. */
export interface Standing {
  /** What the leader's work counts its connections by, while it leads. */
  readonly leader: WorkContext | undefined
  /** The pool ends. `isFromLeader`: it is the leader itself that ends it, and waits for that. */
  end(isFromLeader: boolean): void
}

/** The candidacies of a pool that stand now. They end with it. */
export class Elections {
  readonly #standing = new Set<Standing>()

  add(one: Standing): void {
    this.#standing.add(one)
  }

  delete(one: Standing): void {
    this.#standing.delete(one)
  }

  /** Tells all of them that the pool ends. `from` is the work that asks for it. */
  end(from: WorkContext | undefined): void {
    for (const one of [...this.#standing]) one.end(one.leader !== undefined && isWithin(from, one.leader))
  }
}

function isWithin(from: WorkContext | undefined, around: WorkContext): boolean {
  for (let one = from; one !== undefined; one = one.parent) if (one === around) return true
  return false
}
