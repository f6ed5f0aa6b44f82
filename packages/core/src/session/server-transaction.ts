import { type Limit, type LimitReason, tighter, unlimited, watchLimit } from '../base/limit.js'
import { provesAbort } from '../errors/classify.js'
import { givenUp, within } from '../errors/given-up.js'
import { ConnectionLostError } from '../errors/pool-errors.js'
import { CommitUnknownError, TransactionClosedError, TransactionRolledBackError } from '../errors/transaction-errors.js'
import type { ConnectionSlot, Host } from '../host/host.js'
import type { Holder } from '../pool/waiter.js'
import { mayHoldSeveral, type Prelude, type QueryResult, Statement, type StatementConfig } from '../wire/statement.js'
import { type BeginOptions, beginPreludes } from './transaction-options.js'

/**
 * - `unopened`: no connection is taken yet; the first statement takes one and brings BEGIN with it.
 * - `open`: BEGIN was sent.
 * - `committing`: COMMIT is on its way; nothing else may be sent.
 * - `over`: it has ended, as `how` says.
 */
type State =
  | { readonly kind: 'unopened' }
  | { readonly kind: 'open'; readonly slot: ConnectionSlot }
  | { readonly kind: 'committing' }
  | { readonly kind: 'over'; readonly how: string; readonly cause: unknown }

/** How long ROLLBACK may take before the connection is torn down in its place. */
const rollbackBoundMs = 5_000

/**
 * One transaction on the server, from BEGIN to its end. It takes its connection with the first statement, and gives it
 * back as soon as it is over. What it cannot say for certain it does not say: see `commit`.
 */
export class ServerTransaction {
  readonly #host: Host
  readonly #holder: Holder
  readonly #limit: Limit
  readonly #stopWatching: () => void
  readonly #whenGivenUp: (error: Error) => void
  /** What travels ahead of the next statement: BEGIN at first, savepoints later. */
  #preludes: Prelude[]
  /** Pending while the statement that brings BEGIN has not been answered. */
  #opening: Promise<void> | undefined
  #state: State = { kind: 'unopened' }
  #firstFailure: unknown
  #stopListening: () => void = nothing
  #gaveBack = false

  /**
   * @param whenGivenUp called once when the limit ends the transaction, before COMMIT was sent
   */
  constructor(
    host: Host,
    holder: Holder,
    options: BeginOptions,
    limit: Limit,
    whenGivenUp: (error: Error) => void = nothing,
  ) {
    this.#host = host
    this.#holder = holder
    this.#limit = limit
    this.#preludes = beginPreludes(options)
    this.#whenGivenUp = whenGivenUp
    this.#stopWatching = watchLimit(limit, host.environment.clock, (reason) => this.#giveUp(reason))
  }

  get isOver(): boolean {
    return this.#state.kind === 'over' || this.#state.kind === 'committing'
  }
  /** The first error that a statement of it met, as the server or the connection said it. */
  get firstFailure(): unknown {
    return this.#firstFailure
  }
  /** Whether the server will refuse every further statement: one has failed. */
  get isFailed(): boolean {
    return this.#state.kind === 'open' && this.#state.slot.resource.status === 'E'
  }
  /** Process id of the backend it runs on, once it has one. */
  get pid(): number | undefined {
    return this.#state.kind === 'open' ? this.#state.slot.resource.pid : undefined
  }

  /** Sends `prelude` ahead of the next statement, at no round trip of its own. Returns the way to take it back unsent. */
  sendAhead(prelude: Prelude): () => boolean {
    this.#preludes.push(prelude)
    return () => {
      const at = this.#preludes.indexOf(prelude)
      if (at === -1) return false
      this.#preludes.splice(at, 1)
      return true
    }
  }

  /** Runs a statement in the transaction, behind those that were asked for before it. */
  async query(config: StatementConfig, limit: Limit): Promise<QueryResult> {
    this.#assertUsable()
    const bounds = tighter(limit, this.#limit)
    // BEGIN travels with the first statement. Until it is known to have succeeded nothing may follow it: a statement
    // behind a BEGIN that failed would run, and commit, on its own.
    while (this.#opening !== undefined) {
      await within(this.#opening, bounds, this.#host.environment.clock)
      this.#assertUsable()
    }
    const opened = this.#state.kind === 'unopened' ? Promise.withResolvers<void>() : undefined
    this.#opening = opened?.promise
    try {
      const slot = this.#state.kind === 'open' ? this.#state.slot : await this.#acquire(bounds)
      return await this.#send(slot, config, bounds)
    } catch (error) {
      this.#firstFailure ??= error
      throw error
    } finally {
      if (opened !== undefined) {
        this.#opening = undefined
        opened.resolve()
      }
      this.#noticeEnd()
    }
  }

  /** Settles when nothing that was asked for is still running. */
  async settled(): Promise<void> {
    while (this.#opening !== undefined) await this.#opening
    if (this.#state.kind === 'open') await this.#state.slot.resource.whenQuiet()
  }

  /** The transaction is as sound again as it was when `firstFailure` was this: a savepoint was rolled back to. */
  recovered(firstFailure: unknown): void {
    this.#firstFailure = firstFailure
  }

  /**
   * Commits, and says what happened as exactly as can be known.
   *
   * @throws what the server said, when it proves that nothing was committed; TransactionRolledBackError when the server
   * answered COMMIT with ROLLBACK; CommitUnknownError when the answer was lost.
   */
  async commit(): Promise<void> {
    const state = this.#state
    if (state.kind === 'unopened' && this.#firstFailure === undefined) {
      this.#finish('committed')
      return
    }
    if (state.kind !== 'open') {
      if (state.kind === 'unopened') {
        this.#finish('rolled back', this.#firstFailure)
        throw new TransactionRolledBackError({ cause: this.#firstFailure })
      }
      throw this.#closedError()
    }
    const { slot } = state
    this.#preludes = []
    this.#state = { kind: 'committing' }
    this.#stopWatching()
    try {
      const { command } = await this.#sendCommit(slot)
      if (command !== 'COMMIT') throw new TransactionRolledBackError({ cause: this.#firstFailure })
      this.#finish('committed')
    } catch (error) {
      const cause = commitError(error)
      this.#finish(cause instanceof CommitUnknownError ? 'its outcome is unknown' : 'rolled back', cause)
      throw cause
    } finally {
      this.#giveBack(slot)
    }
  }

  /** Rolls back whatever is open, and settles when the connection has been given back. Never rejects. */
  async rollback(cause?: unknown): Promise<void> {
    const state = this.#state
    if (state.kind === 'unopened') this.#finish('rolled back', cause)
    if (state.kind !== 'open') return
    const { slot } = state
    const connection = slot.resource
    this.#finish('rolled back', cause)
    connection.abandon({ kind: 'aborted', reason: new TransactionClosedError('rolled back', { cause }) })
    const { clock } = this.#host.environment
    const bound = clock.setTimer(rollbackBoundMs, () => connection.destroy())
    try {
      await connection.whenQuiet()
      if (connection.isAlive && connection.status !== 'I')
        await connection.run(new Statement({ text: 'rollback' }), unlimited)
    } catch {
      // Nothing was committed, whatever ROLLBACK said; a connection that cannot roll back must not be used again.
      connection.destroy()
    }
    clock.clearTimer(bound)
    this.#giveBack(slot)
  }

  async #send(slot: ConnectionSlot, config: StatementConfig, bounds: Limit): Promise<QueryResult> {
    const connection = slot.resource
    if (this.#preludes.length === 0) return await connection.run(new Statement(config), bounds)
    const preludes = this.#preludes.splice(0)
    if (!mayHoldSeveral(config.text)) return await connection.run(new Statement(config, preludes), bounds)
    // Several statements in one text need the simple protocol: then what goes ahead takes a trip of its own.
    const last = preludes.pop()
    if (last !== undefined) await connection.run(new Statement(last, preludes), bounds)
    return await connection.run(new Statement(config), bounds)
  }

  async #acquire(bounds: Limit): Promise<ConnectionSlot> {
    const { pool } = this.#host
    const slot = pool.tryAcquire() ?? (await pool.acquire(bounds, this.#holder))
    if (this.#state.kind !== 'unopened') {
      pool.release(slot)
      throw this.#closedError()
    }
    this.#holder.held += 1
    this.#state = { kind: 'open', slot }
    this.#stopListening = slot.resource.onLost((lostWith) => {
      const cause = new ConnectionLostError(true, { cause: lostWith })
      this.#firstFailure ??= cause
      if (this.#state.kind !== 'open') return
      this.#finish('its connection was lost', cause)
      this.#giveBack(slot)
    })
    return slot
  }

  /** A COMMIT or ROLLBACK among the callback's statements, or a BEGIN that failed, leaves no transaction to go on with. */
  #noticeEnd(): void {
    if (this.#state.kind !== 'open' || this.#opening !== undefined) return
    const { slot } = this.#state
    const connection = slot.resource
    if (!connection.isQuiet || connection.status !== 'I') return
    const cause = this.#firstFailure
    this.#finish(cause === undefined ? 'ended by a statement of the callback' : 'it could not begin', cause)
    this.#giveBack(slot)
  }

  #giveUp(reason: LimitReason): void {
    if (this.isOver) return
    const error = givenUp(reason, 'cancelled')
    this.#firstFailure ??= error
    this.#whenGivenUp(error)
    void this.rollback(error)
  }

  /**
   * COMMIT is not cancelled when time runs out, as that could leave a commit behind that no standby has; the connection
   * is torn down, and the outcome is unknown. An abort comes too late for it.
   */
  async #sendCommit(slot: ConnectionSlot): Promise<QueryResult> {
    const connection = slot.resource
    let late: LimitReason | undefined
    const { clock } = this.#host.environment
    const stop = watchLimit({ ...this.#limit, signal: undefined }, clock, (reason) => {
      late = reason
      connection.destroy()
    })
    try {
      return await connection.run(new Statement({ text: 'commit' }), unlimited)
    } catch (error) {
      throw late === undefined ? error : givenUp(late, 'unknown', error)
    } finally {
      stop()
    }
  }

  #assertUsable(): void {
    if (this.isOver) throw this.#closedError()
  }

  #closedError(): TransactionClosedError {
    const state = this.#state
    if (state.kind !== 'over') return new TransactionClosedError('committing')
    return new TransactionClosedError(state.how, state.cause === undefined ? undefined : { cause: state.cause })
  }

  #finish(how: string, cause?: unknown): void {
    this.#state = { kind: 'over', how, cause }
    this.#stopWatching()
  }

  #giveBack(slot: ConnectionSlot): void {
    if (this.#gaveBack) return
    this.#gaveBack = true
    this.#stopListening()
    this.#stopListening = nothing
    this.#holder.held -= 1
    this.#host.release(slot)
  }
}

/** What an error in answer to COMMIT means: either it proves that nothing was committed, or nobody knows. */
function commitError(error: unknown): unknown {
  if (error instanceof TransactionRolledBackError || provesAbort(error)) return error
  // Not a byte of COMMIT was sent: the server rolls back when it sees that the session is gone.
  if (error instanceof ConnectionLostError && !error.sent) return error
  return new CommitUnknownError({ cause: error })
}

const nothing = (): void => undefined
