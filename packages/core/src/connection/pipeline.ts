import { type Clock, nextTick } from '../deadline/clock.js'
import { type Deadline, type GivenUpReason, givenUp, noDeadline } from '../deadline/deadline.js'
import { LifeguardError, thrownError } from '../errors/lifeguard-error.js'
import { ProtocolViolationError } from '../errors/operation-errors.js'
import { markOwn, markStalePlan, markSurvived } from '../errors/origin.js'
import { ConnectionLostError } from '../errors/pool-errors.js'
import { Canceller } from './cancel.js'
import { InFlightQueue } from './in-flight.js'
import type { MessageWriter } from './message-writer.js'
import type { OnItsWay, Operation, StatementObserver, Wire } from './operation.js'
import { endOfSession, givenUpError, isUndoneForNothing, lossError, readingError } from './outcome.js'
import type { ClientInternals } from './pg-internals.js'
import type { ResponseHandler, TransactionStatus } from './protocol-handlers.js'
import { SubmittableAdapter } from './submittable.js'

/**
 * How long a caller whose time is up waits for the word of the server, so that it learns whether its statement was
 * stopped or had already taken effect. On a healthy network the word comes in a round trip or two.
 */
const cancelGraceMs = 40

/** Hears of what happens on a connection that it may be sharing out. */
export interface OperationEndListener {
  /** An operation has ended after so long, or, undefined, was not sent at all; there may be room for others now. */
  onOperationEnd(operation: Operation | undefined, ranMs: number): void
}

/**
 * The operations of one session: which wait, which are under way, and when each caller is answered. They are answered in the
 * order in which they are sent. One that shares is sent while others are still under way; any other has the session to
 * itself: it starts when all before it are answered. Nothing new is sent while a cancel is under way, which could hit it.
 */
export class Pipeline<Owner> implements ResponseHandler {
  observer: StatementObserver<Owner> | undefined
  endListener: OperationEndListener | undefined
  /** Whose errors are those that come from here; see `errors/origin.ts`. */
  belongsTo: object | undefined
  /** Which server they are about. */
  server: string | undefined
  /** Whether an SQL text only reads, so that nothing of it can be committed. */
  onlyReads: (text: string) => boolean = no
  readonly #owner: Owner
  readonly #clock: Clock
  readonly #queue: OnItsWay[] = []
  readonly #flight: InFlightQueue
  readonly #canceller: Canceller
  #wire: Wire | undefined
  #status: TransactionStatus = 'I'
  #lostWith: Error | undefined
  readonly #onQuiet: (() => void)[] = []
  /** While somebody wants to know: the words of the server that end transactions, or go back in them. */
  endings: string[] | undefined
  /**
   * The operation whose messages are being written now. The values of its caller are asked for their text meanwhile, and
   * their code may do anything: ask this very pool, abort, end the connection. Nothing else is written until it is done.
   */
  #writing: OnItsWay | undefined

  /** @param hopeless what runs goes on in spite of its cancel */
  constructor(owner: Owner, client: ClientInternals, clock: Clock, hopeless: () => void) {
    this.#owner = owner
    this.#clock = clock
    this.#flight = new InFlightQueue(clock)
    this.#canceller = new Canceller(client, clock, this.#flight, { settled: () => this.next(), hopeless })
  }

  /** The session is there, and says so of its transaction. */
  open(wire: Wire, status: TransactionStatus): void {
    this.#wire = wire
    this.#status = status
    this.#flight.answeredAt = this.#clock.now()
  }

  get wire(): Wire {
    if (this.#wire === undefined) throw new Error('bug: a connection was used before it was open')
    return this.#wire
  }
  /** Undefined until the session is open. */
  get writer(): MessageWriter | undefined {
    return this.#wire?.writer
  }
  /** What the server said of its transaction at the last answer. */
  get status(): TransactionStatus {
    return this.#status
  }
  /** What ended the session, once it has ended. */
  get lostWith(): Error | undefined {
    return this.#lostWith
  }
  /** Nothing runs, waits or is being cancelled: what is asked now starts now. */
  get isQuiet(): boolean {
    return this.#flight.isEmpty && this.#queue.length === 0 && !this.#canceller.isBusy && this.#writing === undefined
  }
  /** Operations that are under way or wait here. */
  get load(): number {
    return this.#flight.length + this.#queue.length + (this.#writing === undefined ? 0 : 1)
  }
  /** Bytes of what is under way. */
  get bytesInFlight(): number {
    return this.#flight.bytes
  }
  /** How long the operation that is being answered has been so, in milliseconds. */
  get headRanMs(): number {
    return this.#flight.headRanMs
  }
  /** When the last answer was complete, that to the login included, on the connection's clock. */
  get answeredAt(): number {
    return this.#flight.answeredAt
  }
  /** Whether one more that shares would be sent now. */
  get takesSharing(): boolean {
    return this.#queue.length === 0 && this.#writing === undefined && this.#maySendSharing()
  }
  /** Whether nothing was asked that is not answered: no answer may come. */
  get isSilent(): boolean {
    return this.#flight.isEmpty && this.#lostWith === undefined
  }
  /** The text of the statement that is being answered; undefined when nothing runs. */
  get runningText(): string | undefined {
    return this.#flight.head?.text
  }
  /** The operation whose answer comes in now. The answers to a submittable are read by `pg`. */
  get head(): Operation | undefined {
    const { head } = this.#flight
    return head?.isSubmittable === true ? undefined : head
  }

  /** Runs an operation, and calls its `answer`. One that shares does not wait for others that do. */
  start(asked: Operation, deadline: Deadline): void {
    const operation: OnItsWay = asked
    if (this.observer !== undefined) operation.mark = this.observer.asked(operation, this.#owner)
    if (deadline !== noDeadline) {
      const reached = deadline.reached()
      if (reached !== undefined) {
        this.#answer(operation, givenUp(reached, 'not-sent'))
        this.endListener?.onOperationEnd(undefined, 0)
        return
      }
      operation.stopWatching = deadline.watch((reason) => this.#giveUp(operation, reason))
    }
    this.#queue.push(operation)
    this.next()
    if (operation.isAnswered) this.endListener?.onOperationEnd(undefined, 0)
  }

  /** Stops what runs, and forgets what waits, as if each caller had given up with this reason. */
  abandon(reason: GivenUpReason): void {
    for (const operation of this.#queue.slice()) this.#giveUp(operation, reason)
    if (this.#writing !== undefined) this.#giveUp(this.#writing, reason)
    for (const operation of this.#flight.all()) this.#giveUp(operation, reason)
  }

  /** The user has released the connection, and asks for no more of this submittable: it ends, unless it ends by itself. */
  closeSubmittable(adapter: SubmittableAdapter, error: Error): void {
    const { isBusy } = adapter
    if (adapter.close(error) && isBusy && adapter === this.#flight.head)
      this.#giveUp(adapter, { kind: 'aborted', reason: error })
  }

  /** Settles when nothing runs any more; at once when that is so. The connection may have been lost by then. */
  whenQuiet(): Promise<void> {
    if (this.isQuiet) return Promise.resolve()
    return new Promise((resolve) => this.#onQuiet.push(resolve))
  }

  /** Sends what has gathered, but for a message that is not written to its end. */
  flush(): void {
    if (this.#writing === undefined) this.writer?.write()
  }

  /** Stops what runs on the server, whose connection is about to be torn down. */
  stopBackend(): void {
    if (!this.#flight.isEmpty) this.#canceller.stopBackend()
  }

  /** The server has done a command. */
  done(tag: string): void {
    if (this.endings === undefined) return
    if (tag === 'COMMIT' || tag === 'ROLLBACK' || tag === 'PREPARE TRANSACTION') this.endings.push(tag)
  }

  /** The server has said that something failed. */
  said(error: Error): void {
    markOwn(error, this.belongsTo, this.server)
  }

  /** An answer is complete. */
  ready(status: TransactionStatus): void {
    this.#status = status
    const operation = this.#flight.head
    if (operation === undefined) return
    if (operation.failure === undefined && !operation.isComplete) {
      throw new ProtocolViolationError('the end of an answer that has no result')
    }
    const ranMs = this.#flight.shift()
    this.#settle(operation)
    this.#canceller.headChanged()
    this.next()
    this.endListener?.onOperationEnd(operation, ranMs)
  }

  /** The session has ended: each caller gets the error that says what that means for its operation. */
  lose(cause: Error): void {
    const head = this.#flight.head
    const said = endOfSession(head)
    this.#lostWith = said ?? cause
    markOwn(this.#lostWith, this.belongsTo, this.server)
    markOwn(cause, this.belongsTo, this.server)
    this.#canceller.stop()
    this.#wire?.cache.lost(this.#flight.all().map((operation) => operation.text))
    this.writer?.discard()
    const writes = this.writer?.writes ?? 0
    for (const operation of this.#flight.takeAll()) {
      // The server ended the session in the middle of the one that it was answering: those after it have not run.
      if ((operation.postedAt === writes && !operation.isSubmittable) || (said !== undefined && operation !== head))
        operation.sent = false
      this.#answer(operation, lossError(operation, operation === head ? cause : this.#lostWith))
    }
    this.next()
    this.endListener?.onOperationEnd(undefined, 0)
  }

  /** Sends what may be sent now. */
  next(): void {
    // Whoever is writing goes on with what has come in between.
    if (this.#writing !== undefined) return
    for (;;) {
      const operation = this.#queue[0]
      if (operation === undefined) break
      if (this.#lostWith !== undefined) {
        this.#queue.shift()
        this.#answer(operation, new ConnectionLostError(false, { cause: this.#lostWith }))
      } else if (this.#flight.isEmpty ? !this.#canceller.isBusy : operation.isSharing && this.#maySendSharing()) {
        if (operation instanceof SubmittableAdapter && SubmittableAdapter.isAnyWriting) {
          // A value of one submittable asks for another, and `pg` builds the messages of all in one place.
          nextTick(() => this.next())
          return
        }
        this.#queue.shift()
        this.#send(operation)
      } else return
    }
    if (this.#onQuiet.length > 0 && this.isQuiet) for (const resolve of this.#onQuiet.splice(0)) resolve()
  }

  #maySendSharing(): boolean {
    if (this.#canceller.isBusy || this.#flight.hasGivenUp) return false
    return this.#flight.isEmpty || (this.#flight.isSharing && this.writer?.isFull === false)
  }

  #send(operation: OnItsWay): void {
    const { wire } = this
    const { writer, cache } = wire
    // Apart from the operation, which may turn out not to be sendable.
    for (const name of cache.takeClosing()) writer.closeStatement(name)
    const start = writer.length
    // As it is before: what is written in parts may be on its way already when all of its beginning is there.
    const { writes } = writer
    let refused: { readonly error: unknown } | undefined
    this.#writing = operation
    try {
      operation.write(wire)
    } catch (error) {
      refused = { error: thrownError(error) }
    }
    this.#writing = undefined
    // A submittable writes to the socket itself.
    const hasLeft = operation instanceof SubmittableAdapter ? operation.hasBegun : writer.writes !== writes
    refused ??= this.#endedMeanwhile(operation, hasLeft)
    if (refused !== undefined) {
      const { error } = refused
      operation.unwritten(wire)
      if (!hasLeft) {
        if (writer.writes === writes) writer.cutTo(start)
        // What it would have begun with has not been sent either.
        cache.ready(this.#status !== 'I')
        this.#answer(operation, error)
        this.endListener?.onOperationEnd(undefined, 0)
      } else {
        // Its beginning has left: no end of it could undo that. Without a Sync the server does nothing of it.
        operation.sent = true
        operation.postedAt = -1
        operation.failure ??= thrownError(error)
        this.#flight.add(operation)
        wire.tearDown()
      }
      return
    }
    if (operation instanceof SubmittableAdapter) operation.onUnsent = (error) => this.#refused(operation, error)
    operation.sent = true
    operation.postedAt = writes
    operation.bytes = Math.max(0, writer.length - start)
    this.#flight.add(operation)
    writer.post()
    if (operation.givenUp !== undefined) this.#stop(operation, operation.givenUp)
    else if (operation instanceof SubmittableAdapter) operation.onSent()
  }

  /** Its own values have ended the session, or given it up, while it was being written: then nothing of it leaves. */
  #endedMeanwhile(operation: Operation, hasLeft: boolean): { readonly error: unknown } | undefined {
    if (this.#lostWith !== undefined) return { error: new ConnectionLostError(hasLeft, { cause: this.#lostWith }) }
    const { givenUp: reason } = operation
    return reason === undefined || hasLeft ? undefined : { error: givenUp(reason, 'not-sent') }
  }

  /** A submittable has not written anything, so that no answer will come. */
  #refused(operation: SubmittableAdapter & OnItsWay, error: unknown): void {
    if (this.#flight.head !== operation) return
    this.#flight.shift()
    operation.sent = false
    this.#answer(operation, error)
    this.#canceller.headChanged()
    this.next()
  }

  #settle(operation: OnItsWay): void {
    const { failure, givenUp: reason } = operation
    // The server is ready for more: what it said of this was an answer.
    if (failure !== undefined) markSurvived(failure)
    if (operation.isAnswered) this.observer?.answeredLate()
    else if (failure === undefined) this.#answer(operation, readingError(operation, this.#status, this.onlyReads))
    else if (reason !== undefined) this.#answer(operation, givenUpError(operation, failure, reason, this.#status))
    else if (isUndoneForNothing(operation, failure, this.#status)) {
      operation.reset()
      this.#queue.unshift(operation)
    } else {
      if (operation.isStale) markStalePlan(failure)
      this.#answer(operation, failure)
    }
  }

  #answer(operation: OnItsWay, error: unknown): void {
    if (operation.isAnswered) return
    operation.isAnswered = true
    // Made here; what the server says is noted when it comes, and what the code of a caller throws is the caller's.
    if (error instanceof LifeguardError) markOwn(error, this.belongsTo, this.server)
    operation.stopWatching()
    if (operation.grace !== undefined) this.#clock.clearTimer(operation.grace)
    if (this.observer !== undefined) {
      const durationMs = operation.sent ? operation.ranMs(this.#clock.now()) : undefined
      this.observer.answered(operation, this.#owner, operation.mark, error, durationMs)
    }
    operation.answer(error)
  }

  #giveUp(operation: OnItsWay, reason: GivenUpReason): void {
    // Given up already: by the statement's own deadline, then by its transaction's. A second cancel could hit what comes next.
    if (operation.isAnswered || operation.givenUp !== undefined) return
    const at = this.#queue.indexOf(operation)
    if (at !== -1) {
      this.#queue.splice(at, 1)
      this.#answer(operation, givenUp(reason, 'not-sent'))
      this.endListener?.onOperationEnd(undefined, 0)
      return
    }
    operation.givenUp = reason
    // Its own values have given it up: it is stopped when they are done.
    if (operation === this.#writing) return
    this.#stop(operation, reason)
  }

  /** It is under way: the server is asked to cancel it, and its caller waits for the word of the server for a moment. */
  #stop(operation: OnItsWay, reason: GivenUpReason): void {
    operation.interrupt()
    operation.grace = this.#clock.setTimer(cancelGraceMs, () => this.#answer(operation, givenUp(reason, 'unknown')))
    this.#canceller.givenUp(operation)
  }
}

const no = (): boolean => false
