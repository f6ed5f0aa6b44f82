import type { CommitFollower } from '../cluster/write-positions.js'
import { type Command, operationFor, sqlTextOf, takesPreludes } from '../connection/command.js'
import type { Connection } from '../connection/connection.js'
import type { Operation, Prelude } from '../connection/operation.js'
import { joinedTexts } from '../connection/reported.js'
import type { QueryResult } from '../connection/result.js'
import { Statement } from '../connection/statement.js'
import type { Clock } from '../deadline/clock.js'
import { type Deadline, type GivenUpReason, givenUp, noDeadline } from '../deadline/deadline.js'
import { provesAbort } from '../errors/classify.js'
import { inheritOrigin, notedBy } from '../errors/origin.js'
import { ConnectionLostError, NotOnReplicaError } from '../errors/pool-errors.js'
import { sqlStateOf } from '../errors/sqlstate.js'
import { CommitUnknownError, TransactionClosedError, TransactionRolledBackError } from '../errors/transaction-errors.js'
import { type CallerContext, callerContext } from '../observe/context.js'
import { noop } from '../observe/noop.js'
import type { ConnectionSlot } from '../server/server.js'
import { sqlText } from '../sql/sql-text.js'
import { firstEnd } from '../sql/transaction-control.js'
import type { ConnectionSource } from './connection-source.js'
import { type Sending, StatementLine } from './statement-line.js'

/** What an error in answer to COMMIT means: either it proves that nothing was committed, or nobody knows. */
export function commitError(error: unknown): unknown {
  if (error instanceof TransactionRolledBackError || provesAbort(error)) return error
  // Not a byte of COMMIT was sent: the server rolls back when it sees that the session is gone.
  if (error instanceof ConnectionLostError && !error.sent) return error
  return new CommitUnknownError({ cause: error })
}

/**
 * Sends COMMIT, and what the follower asks after it in the same round trip.
 *
 * What is asked after COMMIT can fail in every way without changing what COMMIT has done: once the server has said
 * 'COMMIT', that stands, even when the connection is lost in the middle of the next answer.
 * https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-PIPELINING
 *
 * @param isReported whether it is reported as a statement
 */
async function commitOn(
  connection: Connection,
  follower: CommitFollower | undefined,
  isReported: boolean,
): Promise<Pick<QueryResult, 'command'>> {
  if (follower === undefined) {
    const statement = new Statement({ text: 'commit' })
    statement.isReported = isReported
    return await connection.run(statement, noDeadline)
  }
  let command: string | undefined
  const commit: Prelude = {
    text: 'commit',
    onComplete: (word) => {
      command = word
    },
  }
  try {
    const statement = new Statement({ text: follower.text, rowMode: 'array' }, [commit])
    statement.label = joinedTexts([commit.text, follower.text])
    statement.isReported = isReported
    const { rows } = await connection.run(statement, noDeadline)
    follower.committed(rows[0])
  } catch (error) {
    if (command === undefined) throw error
    follower.unknown()
  }
  if (command === undefined) throw new Error('bug: the server answered what came after COMMIT, but not COMMIT')
  return { command }
}

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

/**
 * What became of a transaction that a statement of the callback has ended. `unknown`: the answer to its COMMIT was lost,
 * or it is prepared, and ends elsewhere.
 */
export type ManualEnd = 'committed' | 'rolled back' | 'unknown'

/** How long ROLLBACK may take before the connection is torn down in its place. */
const rollbackBoundMs = 5_000

/**
 * One transaction on the server, from BEGIN to its end. It takes its connection with the first statement, and gives it
 * back as soon as it is over. What it cannot say for certain it does not say: see `commit`.
 */
export class ServerTransaction {
  readonly #source: ConnectionSource
  readonly #clock: Clock
  readonly #deadline: Deadline
  #stopWatching: () => void
  readonly #whenGivenUp: (error: Error) => void
  readonly #follower: CommitFollower | undefined
  readonly #line: StatementLine
  /** Whose transaction it is, while somebody traces: its deadline may end it, in the context of the code that aborts. */
  readonly #caller: CallerContext | undefined = callerContext()
  /** Whether its COMMIT or ROLLBACK is reported as a statement. */
  reportsItsEnd = true
  #state: State = { kind: 'unopened' }
  #firstFailure: unknown
  /** Whether BEGIN was sent. */
  #begun = false
  #stopListening: () => void = noop
  #gaveBack = false
  #endedManually: ManualEnd | undefined
  /** What the statement that runs now has done to transactions, in the words of the server. */
  readonly #ends: string[] = []
  /** Why its deadline ended it, once that has. */
  #gaveUp: GivenUpReason | undefined

  /**
   * @param preludes BEGIN, and what holds for this transaction only
   * @param whenGivenUp called once when the limit ends the transaction, before COMMIT was sent
   * @param follower asks something after COMMIT, in the same round trip
   */
  constructor(
    source: ConnectionSource,
    clock: Clock,
    preludes: readonly Prelude[],
    deadline: Deadline,
    whenGivenUp: (error: Error) => void = noop,
    follower?: CommitFollower,
  ) {
    this.#source = source
    this.#clock = clock
    this.#deadline = deadline
    this.#line = new StatementLine((sending) => this.#send(sending))
    for (const prelude of preludes) this.#line.putAhead(prelude)
    this.#whenGivenUp = whenGivenUp
    this.#follower = follower
    this.#stopWatching = deadline.watch((reason) => this.#giveUp(reason))
  }

  get isOver(): boolean {
    return this.#state.kind === 'over' || this.#state.kind === 'committing'
  }
  /** Set when a statement of the callback has ended it: COMMIT, ROLLBACK, with AND CHAIN too, PREPARE TRANSACTION. */
  get endedManually(): ManualEnd | undefined {
    return this.#endedManually
  }
  /** The first error that a statement of it met, as the server or the connection said it. */
  get firstFailure(): unknown {
    return this.#firstFailure
  }
  /** The same, unless the transaction is sound again: the callback itself has rolled back to a savepoint. */
  get lastingFailure(): unknown {
    const state = this.#state
    const isSound = state.kind === 'open' && this.#begun && state.slot.resource.status === 'T'
    return isSound && sqlStateOf(this.#firstFailure) !== undefined ? undefined : this.#firstFailure
  }
  /** Whether the server will refuse every further statement: one has failed. */
  get isFailed(): boolean {
    return this.#state.kind === 'open' && this.#state.slot.resource.status === 'E'
  }

  /** What it runs on, once it has begun and until it is over. */
  get connection(): Connection | undefined {
    return this.#begun && this.#state.kind === 'open' ? this.#state.slot.resource : undefined
  }

  /** Sends `prelude` ahead of the next statement, at no round trip of its own. Returns the way to take it back unsent. */
  sendAhead(prelude: Prelude): () => boolean {
    return this.#line.putAhead(prelude)
  }

  /** The pool that it is a transaction of. */
  get owner(): object | undefined {
    return this.#source.owner
  }

  /** Runs a command in the transaction, after those that were asked for before it. */
  async query(command: Command, deadline: Deadline): Promise<QueryResult> {
    if (this.isOver) throw notedBy(this.#overError(), this.owner)
    if (this.#source.admits?.(sqlTextOf(command)) === false) {
      const refused = notedBy(new NotOnReplicaError(), this.owner)
      this.#firstFailure ??= refused
      throw refused
    }
    try {
      const result = await this.#line.ask(command, deadline.tighter(this.#deadline))
      if (this.#firstFailure !== undefined) this.#firstFailure = this.lastingFailure
      return result
    } catch (error) {
      this.#firstFailure ??= error
      // A statement may find it out before the timer of the transaction fires, on a busy machine.
      const reached = this.#deadline.reached()
      if (reached !== undefined) this.#giveUp(reached)
      throw notedBy(error, this.owner)
    }
  }

  /** To be called when nobody waits for it any more: its deadline is of no interest then. */
  abandon(): void {
    this.#stopWatching()
  }

  /** Settles when nothing that was asked for is still running. */
  settled(): Promise<void> {
    return this.#line.settled()
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
    if (this.isOver) throw this.#overError()
    if (!this.#begun) {
      const failure = this.#firstFailure
      this.#finish(failure === undefined ? 'committed' : 'rolled back', failure)
      if (state.kind === 'open') this.#release(state.slot)
      if (failure !== undefined) throw this.#noted(new TransactionRolledBackError({ cause: failure }))
      return
    }
    if (state.kind !== 'open') throw new Error('bug: a transaction has begun without a connection')
    const { slot } = state
    this.#state = { kind: 'committing' }
    this.#stopWatching()
    try {
      const { command } = await this.#sendCommit(slot)
      if (command !== 'COMMIT') throw new TransactionRolledBackError({ cause: this.#firstFailure })
      this.#finish('committed')
    } catch (error) {
      const cause = this.#noted(commitError(error), slot)
      if (cause instanceof CommitUnknownError) this.#follower?.unknown()
      this.#finish(cause instanceof CommitUnknownError ? 'its outcome is unknown' : 'rolled back', cause)
      throw cause
    } finally {
      this.#release(slot)
    }
  }

  /**
   * Rolls back whatever is open, and settles when the connection has been released. Never rejects.
   *
   * @param reason the deadline that ended it, for the error of what is under way
   */
  async rollback(cause?: unknown, reason?: GivenUpReason): Promise<void> {
    const state = this.#state
    if (state.kind === 'unopened') this.#finish('rolled back', cause)
    if (state.kind !== 'open') return
    const { slot } = state
    const connection = slot.resource
    this.#finish('rolled back', cause)
    this.#line.abandon(this.#overError())
    connection.abandon(reason ?? { kind: 'aborted', reason: this.closedError() })
    await this.#clean(connection)
    this.#release(slot)
  }

  /** Leaves nothing of any transaction on the connection, which is ended where it does not answer. */
  async #clean(connection: Connection): Promise<void> {
    const bound = this.#clock.setTimer(rollbackBoundMs, () => connection.terminate())
    try {
      await connection.whenQuiet()
      if (connection.isAlive && connection.status !== 'I') {
        const rollback = new Statement({ text: 'rollback' })
        rollback.caller = this.#caller ?? rollback.caller
        rollback.isReported = this.reportsItsEnd
        await connection.run(rollback, noDeadline)
      }
    } catch {
      // Nothing was committed, whatever ROLLBACK said; a connection that cannot roll back must not be used again.
      connection.terminate()
    }
    this.#clock.clearTimer(bound)
  }

  /** The first statement takes the connection, and BEGIN goes ahead of it. */
  async #send(sending: Sending): Promise<QueryResult> {
    this.#assertUsable()
    const { command, preludes, deadline } = sending
    const slot = this.#state.kind === 'open' ? this.#state.slot : await this.#acquire(deadline)
    const connection = slot.resource
    const last = preludes.at(-1)
    // What cannot travel with it takes a round trip of its own.
    const apart = last !== undefined && !takesPreludes(command)
    const operation = operationFor(command, apart ? [] : preludes)
    const { text } = operation
    this.#ends.length = 0
    connection.transactionEnds = this.#ends
    let failure: unknown
    try {
      if (apart) await this.#run(connection, new Statement(last, preludes.slice(0, -1)), sending)
      return await this.#run(connection, operation, sending)
    } catch (error) {
      failure = this.#endUnknown(text, sending, error)
      throw failure
    } finally {
      connection.transactionEnds = undefined
      await this.#noticeEnd(connection, text, failure)
    }
  }

  async #run(connection: Connection, operation: Operation, sending: Sending): Promise<QueryResult> {
    try {
      return await connection.run(operation, sending.deadline)
    } finally {
      if (operation.sent) {
        sending.sent = true
        this.#begun = true
      }
    }
  }

  async #acquire(deadline: Deadline): Promise<ConnectionSlot> {
    const slot = await this.#source.acquire(deadline)
    if (this.#state.kind !== 'unopened') {
      this.#source.release(slot)
      throw this.#overError()
    }
    this.#state = { kind: 'open', slot }
    this.#stopListening = slot.resource.onLost((lostWith) => {
      const cause = new ConnectionLostError(true, { cause: lostWith })
      inheritOrigin(cause, lostWith)
      this.#firstFailure ??= cause
      if (this.#state.kind !== 'open') return
      this.#finish('its connection was lost', cause)
      this.#line.abandon(this.closedError())
      this.#release(slot)
    })
    return slot
  }

  /** A statement that was to commit, and whose answer was lost: nobody knows what became of the transaction. */
  #endUnknown(text: string, { sent }: Sending, error: unknown): unknown {
    if (!sent || this.#ends.length > 0 || !sqlText(text).effects.endsTransaction) return error
    return this.#noted(commitError(error))
  }

  /**
   * A COMMIT or ROLLBACK among the callback's statements, or a BEGIN that failed, leaves no transaction to go on with. With
   * AND CHAIN, or a BEGIN in the same text, the server has begun another, without the role, the settings and the modes
   * of this one: it is rolled back before anything can run in it. The server's own words and its status decide, so that
   * nothing depends on how an SQL text is read here.
   */
  async #noticeEnd(connection: Connection, text: string, failure: unknown): Promise<void> {
    if (!this.#begun || this.#endedManually !== undefined) return
    const end = failure instanceof CommitUnknownError ? 'unknown' : this.#firstEnd(text)
    const state = this.#state
    if (end === undefined && (state.kind !== 'open' || !connection.isQuiet || connection.status !== 'I')) return
    const cause = this.#firstFailure ?? (end === undefined ? failure : undefined)
    if (end === undefined && cause !== undefined) this.#finish('it could not begin', cause)
    else {
      const how = howEnded(end)
      this.#endedManually = how.fate
      if (how.fate !== 'rolled back') this.#follower?.unknown()
      if (state.kind !== 'open') return
      // The callback goes on, and who waits for it may still run out of time.
      const stop = this.#stopWatching
      if (this.#whenGivenUp !== noop) this.#stopWatching = noop
      this.#finish(`${how.said} by a statement of the callback`, end === 'unknown' ? failure : cause)
      this.#stopWatching = stop
    }
    if (state.kind !== 'open') return
    this.#line.abandon(this.closedError())
    if (!connection.isQuiet) connection.abandon({ kind: 'aborted', reason: this.closedError() })
    if (!connection.isQuiet || connection.status !== 'I') await this.#clean(connection)
    this.#release(state.slot)
  }

  #firstEnd(text: string): string | undefined {
    return this.#ends.length === 0 ? undefined : firstEnd(sqlText(text), this.#ends)
  }

  #giveUp(reason: GivenUpReason): void {
    if (this.#endedManually !== undefined) this.#whenGivenUp(givenUp(reason, 'unknown'))
    if (this.isOver) return
    const error = givenUp(reason, 'cancelled')
    this.#gaveUp = reason
    this.#firstFailure ??= error
    this.#whenGivenUp(error)
    void this.rollback(error, reason)
  }

  /**
   * COMMIT is not cancelled when time runs out, as that could leave a commit behind that no standby has; the connection
   * is torn down, and the outcome is unknown. An abort comes too late for it.
   */
  async #sendCommit(slot: ConnectionSlot): Promise<Pick<QueryResult, 'command'>> {
    const connection = slot.resource
    let late: GivenUpReason | undefined
    const stop = this.#deadline.withSignal(undefined).watch((reason) => {
      late = reason
      connection.destroy()
    })
    try {
      return await commitOn(connection, this.#follower, this.reportsItsEnd)
    } catch (error) {
      throw late === undefined ? error : givenUp(late, 'unknown', error)
    } finally {
      stop()
    }
  }

  #assertUsable(): void {
    if (this.isOver) throw this.#overError()
  }

  /** The error of what is asked of it now: that its time is over, or that it is. */
  #overError(): Error {
    const reason = this.#gaveUp
    return reason === undefined ? this.closedError() : this.#noted(givenUp(reason, 'cancelled'))
  }

  /** That it is over, how, and through what. */
  closedError(): TransactionClosedError {
    const state = this.#state
    if (state.kind !== 'over') return this.#noted(new TransactionClosedError('committing'))
    const { how, cause } = state
    return this.#noted(new TransactionClosedError(how, cause === undefined ? undefined : { cause }))
  }

  /** The same error, noted as of its pool, and of the server if that is still known. */
  #noted<E>(error: E, slot = this.#state.kind === 'open' ? this.#state.slot : undefined): E {
    return notedBy(error, this.owner, slot?.resource.address)
  }

  #finish(how: string, cause?: unknown): void {
    this.#state = { kind: 'over', how, cause }
    this.#stopWatching()
  }

  #release(slot: ConnectionSlot): void {
    if (this.#gaveBack) return
    this.#gaveBack = true
    this.#stopListening()
    this.#stopListening = noop
    this.#source.release(slot)
  }
}

/** @param end the word of the server; undefined when its status alone has said that the transaction is over */
function howEnded(end: string | undefined): { readonly fate: ManualEnd; readonly said: string } {
  if (end === 'COMMIT') return { fate: 'committed', said: 'committed' }
  if (end === 'ROLLBACK') return { fate: 'rolled back', said: 'rolled back' }
  return { fate: 'unknown', said: end === 'PREPARE TRANSACTION' ? 'prepared' : 'ended' }
}
