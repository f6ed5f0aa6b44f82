import { type Deadline, givenUp } from '../deadline/deadline.js'
import { fieldsOf } from '../errors/known-options.js'
import { ownedBy } from '../errors/origin.js'
import { ConnectionReleasedError } from '../errors/pool-errors.js'
import { DeadlockError, LockLostError } from '../errors/transaction-errors.js'
import type { WorkContext } from '../resource-pool/wait-queue.js'
import { labelOf } from '../sql/lock-key.js'
import { onHeld } from '../transaction/connection-source.js'
import type { SessionEnvironment } from '../transaction/environment.js'
import type { AmbientLock, FencingToken, LockHandle } from '../transaction/held-lock.js'
import type { TransactionOptions } from '../transaction/options.js'
import type { Transaction } from '../transaction/transaction.js'
import { withTransaction } from '../transaction/with-transaction.js'
import { type LockGrant, releaseGrant } from './grants.js'
import type { LockSession } from './lock-session.js'

/** A lock that is held until `release()`, or by the end of an `await using` block. */
export interface Lock extends LockHandle, AsyncDisposable {
  /**
   * Gives the lock back; a second call does nothing.
   *
   * @throws LockLostError when it had been lost before
   */
  release(): Promise<void>
}

/** A granted lock in the hands of its user. */
export class SessionLock implements Lock {
  readonly fencingToken: FencingToken
  readonly #environment: SessionEnvironment
  readonly #grant: LockGrant
  readonly #abort = new AbortController()
  readonly #grantedAt: number
  readonly #stopWatching: () => void
  readonly #transactions = new Set<Promise<unknown>>()
  #released: Promise<LockLostError | undefined> | undefined
  #lost: LockLostError | undefined

  /** @param deadline aborts `signal` when it is reached */
  constructor(environment: SessionEnvironment, grant: LockGrant, deadline: Deadline) {
    const { clock } = environment.server.environment
    this.#environment = environment
    this.#grant = grant
    this.fencingToken = grant.token
    this.#grantedAt = clock.now()
    this.#stopWatching = deadline.watch((reason) => this.#abort.abort(givenUp(reason, 'unknown')))
    grant.hold.onLost(({ why, cause }) => this.#lose(why, cause))
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** Counts the connection that the lock takes for held by this work. */
  countIn(holder: WorkContext): void {
    holder.shared = this.#grant.session
  }

  /** A property, so that it can be taken out of the handle. */
  readonly withTransaction = async <T>(
    fn: (tx: Transaction) => Promise<T>,
    options?: TransactionOptions,
  ): Promise<T> => {
    const { session, keys } = this.#grant
    const { ambient } = this.#environment
    if (this.#lost !== undefined) throw this.#lost
    if (this.#released !== undefined) throw new ConnectionReleasedError()
    const open = ambient.current?.transaction
    const running = session.transaction
    if (open !== undefined && running !== undefined && open.isWithin(running)) {
      return await withTransaction(this.#environment, fn, options)
    }
    // It would wait for the transaction that it is itself inside of.
    const around = ambient.current?.locks.values() ?? []
    if ([...around].some(({ on }) => on === session)) throw new DeadlockError(labelOf(keys), { cause: undefined })
    const whole = session.occupy(() => this.#transact(fn, options), ambient.deadlineFor(options))
    this.#transactions.add(whole)
    try {
      return await whole
    } finally {
      this.#transactions.delete(whole)
    }
  }

  async release(): Promise<void> {
    const lost = await this.releaseOnce()
    if (lost !== undefined) throw lost
  }

  /**
   * The caller is about to hear this. A callback that still runs hears of it first: not by a timer of its own, as two for
   * one time may run in either order.
   */
  answered(error: unknown): void {
    if (this.#released === undefined) this.#abort.abort(error)
  }

  /** Releases the lock once, and says whether it had been lost. Never rejects. */
  releaseOnce(): Promise<LockLostError | undefined> {
    this.#released ??= this.#release()
    return this.#released
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release()
  }

  /** Has the session for itself. */
  async #transact<T>(fn: (tx: Transaction) => Promise<T>, options: TransactionOptions | undefined): Promise<T> {
    const { session } = this.#grant
    const { ambient } = this.#environment
    const work = async (tx: Transaction): Promise<T> => {
      session.transaction = ambient.current?.transaction
      return await fn(tx)
    }
    // Not a savepoint of a transaction on another session: that would outlive the lock.
    const change = { transaction: undefined, locks: locksOn(session, ambient.current?.locks) }
    try {
      const begun = { ...fieldsOf(options), ...idlesFor(options) }
      return await ambient.run(change, () => withTransaction(this.#environment, work, begun, onHeld(session.slot)))
    } finally {
      session.transaction = undefined
    }
  }

  async #release(): Promise<LockLostError | undefined> {
    const { session, keys, mode, leaveQueue } = this.#grant
    await Promise.allSettled(this.#transactions)
    this.#stopWatching()
    const released = releaseGrant(this.#grant, keys, mode).finally(leaveQueue)
    // A transaction of another lock has the session, for as long as somebody else's code takes, and that code may wait
    // for ours to go on. The lock is released after it.
    if (this.#lost === undefined && session.isOccupied) return undefined
    await released
    return this.#lost
  }

  #lose(why: string, cause: unknown): void {
    if (this.#lost !== undefined) return
    const { keys } = this.#grant
    const { server } = this.#environment
    const heldMs = server.environment.clock.now() - this.#grantedAt
    const lost = new LockLostError(labelOf(keys), heldMs, why, cause === undefined ? undefined : { cause })
    this.#lost = ownedBy(lost, server.environment, server.address)
    this.#abort.abort(this.#lost)
  }
}

/** A session that is ended because its transaction idles takes the lock with it: only when the caller says so. */
function idlesFor({ idleTimeoutMs, settings }: TransactionOptions = {}): Pick<TransactionOptions, 'idleTimeoutMs'> {
  const isSet = Object.keys(settings ?? {}).some((name) => name.toLowerCase() === 'idle_in_transaction_session_timeout')
  return isSet ? {} : { idleTimeoutMs: idleTimeoutMs ?? 0 }
}

/** What code in a transaction on the session cannot wait for: every key of the session is held until it is over. */
function locksOn(session: LockSession, around: ReadonlyMap<string, AmbientLock> | undefined): Map<string, AmbientLock> {
  const locks = new Map<string, AmbientLock>(around)
  for (const id of session.keyIds) {
    const held = locks.get(id)
    locks.set(id, held === undefined ? { kind: 'beside', on: session } : { ...held, on: session })
  }
  return locks
}
