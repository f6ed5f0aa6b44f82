import type { Limit } from '../../base/limit.js'
import { unlimited, watchLimit } from '../../base/limit.js'
import { givenUp } from '../../errors/given-up.js'
import { LockLostError } from '../../errors/lock-errors.js'
import type { Holder } from '../../pool/waiter.js'
import { onHeld } from '../connection-source.js'
import type { SessionEnvironment } from '../session-environment.js'
import type { Transaction } from '../transaction.js'
import type { TransactionOptions } from '../transaction-options.js'
import { withTransaction } from '../with-transaction.js'
import type { FencingToken, LockHandle } from './held-lock.js'
import { type LockGrant, labelOf } from './lock-grants.js'
import { unlockSession } from './lock-sql.js'

/** A lock that is held until it is released by hand, or by the end of an `await using` block. */
export interface Lock extends LockHandle, AsyncDisposable {
  /**
   * Gives the lock back; a second call does nothing.
   *
   * @throws LockLostError when it had been lost before
   */
  release(): Promise<void>
}

/** A granted lock in the hands of its user. */
export class HeldGrant implements Lock {
  readonly fencingToken: FencingToken
  readonly #environment: SessionEnvironment
  readonly #grant: LockGrant
  readonly #abort = new AbortController()
  readonly #grantedAt: number
  readonly #stopWatching: () => void
  #released: Promise<LockLostError | undefined> | undefined
  #lost: LockLostError | undefined

  constructor(environment: SessionEnvironment, grant: LockGrant, limit: Limit) {
    const { clock } = environment.host.environment
    this.#environment = environment
    this.#grant = grant
    this.fencingToken = grant.token
    this.#grantedAt = clock.now()
    this.#stopWatching = watchLimit(limit, clock, (reason) => this.#abort.abort(givenUp(reason, 'unknown')))
    grant.hold.onLost(({ why, cause }) => this.#lose(why, cause))
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** Counts the connection that the lock takes for held by this work. */
  countIn(holder: Holder): void {
    holder.shared = this.#grant.session
  }

  withTransaction<T>(fn: (tx: Transaction) => Promise<T>, options?: TransactionOptions): Promise<T> {
    const { session } = this.#grant
    const { ambient } = this.#environment
    if (this.#lost !== undefined) return Promise.reject(this.#lost)
    return session.use(
      () =>
        // Not a savepoint of a transaction on another session: that would outlive the lock.
        ambient.run({ transaction: undefined }, () =>
          withTransaction(this.#environment, fn, options, onHeld(session.slot)),
        ),
      ambient.limitFor(options),
    )
  }

  async release(): Promise<void> {
    const lost = await this.giveBack()
    if (lost !== undefined) throw lost
  }

  /** Gives the lock back, and says whether it had been lost. Never rejects. */
  giveBack(): Promise<LockLostError | undefined> {
    this.#released ??= this.#giveBack()
    return this.#released
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release()
  }

  async #giveBack(): Promise<LockLostError | undefined> {
    const { session, keys, mode, hold, leave } = this.#grant
    this.#stopWatching()
    try {
      if (this.#lost === undefined) {
        const held = await session.use((connection) => unlockSession(connection, keys, mode), unlimited)
        if (!held) session.giveUp('its session did not hold it any more at the end', undefined)
      }
    } catch (error) {
      session.giveUp('its session had ended when it was to be given back', error)
      this.#lose('its session had ended when it was to be given back', error)
    }
    hold.release()
    leave()
    return this.#lost
  }

  #lose(why: string, cause: unknown): void {
    if (this.#lost !== undefined) return
    const heldMs = this.#environment.host.environment.clock.now() - this.#grantedAt
    this.#lost = new LockLostError(labelOf(this.#grant), heldMs, why, cause === undefined ? undefined : { cause })
    this.#abort.abort(this.#lost)
  }
}
