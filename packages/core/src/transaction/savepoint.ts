import type { Command } from '../connection/command.js'
import type { QueryResult } from '../connection/result.js'
import type { Clock } from '../deadline/clock.js'
import { type Deadline, noDeadline, type OperationOptions } from '../deadline/deadline.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import { notedBy } from '../errors/origin.js'
import { TransactionClosedError, TransactionRolledBackError } from '../errors/transaction-errors.js'
import { Operations } from '../query/operations.js'
import type { Executor } from '../query/queryable.js'
import type { Ambient, OpenTransaction } from './context.js'
import { assertFits } from './join.js'
import { OpenManualTransaction } from './manual-transaction.js'
import { assertTransactionOptions, type BeginOptions, type TransactionOptions } from './options.js'
import type { ServerTransaction } from './server-transaction.js'
import {
  type Hook,
  type HookName,
  Hooks,
  type ManualTransaction,
  type RetryReason,
  type Transaction,
} from './transaction.js'

/** A nested level on the server. */
interface Savepoint {
  readonly scope: TransactionScope
  readonly name: string
  /** The transaction's first failure when the savepoint was set. */
  readonly failureBefore: unknown
  /** Forgets the savepoint if it was never sent; false when it was. */
  readonly retract: () => boolean
}

/** One level of a transaction: the whole of it, or a savepoint in it. */
export class TransactionScope extends Operations implements OpenTransaction {
  readonly server: ServerTransaction
  readonly attempt: number
  readonly retries: readonly RetryReason[]
  readonly depth: number
  readonly hooks = new Hooks()
  /** How the outermost level began. */
  readonly begun: BeginOptions
  readonly #ambient: Ambient
  readonly #clock: Clock
  readonly #parent: TransactionScope | undefined
  readonly #deadline: Deadline
  #closed: string | undefined
  /** The savepoint that is open below this level. Until it is over, this level itself waits. */
  #child: Promise<void> | undefined
  /** A savepoint below that its caller ends; what is asked of this level belongs to it. */
  #manual: TransactionScope | undefined
  /** Whichever of the two is open. */
  #below: Savepoint | undefined
  #savepoints = 0

  constructor(
    server: ServerTransaction,
    ambient: Ambient,
    clock: Clock,
    retries: readonly RetryReason[],
    begun: BeginOptions,
    parent?: TransactionScope,
    deadline: Deadline = noDeadline,
  ) {
    super(ambient)
    this.server = server
    this.attempt = retries.length + 1
    this.retries = retries
    this.begun = begun
    this.depth = parent === undefined ? 0 : parent.depth + 1
    this.#ambient = ambient
    this.#clock = clock
    this.#parent = parent
    this.#deadline = deadline
  }

  get isOver(): boolean {
    return this.#closed !== undefined || this.server.isOver
  }

  /** Runs a command at the innermost level that is open around the caller. */
  async execute(command: Command, deadline: Deadline): Promise<QueryResult> {
    const inner = this.#innermost()
    if (inner !== this) return await inner.execute(command, deadline)
    if (this.#manual !== undefined) return await this.#manual.execute(command, deadline)
    this.#assertOpen()
    const context = this.#ambient.current
    if (context?.collecting !== undefined && context.transaction === this) {
      return await context.collecting.add(command)
    }
    const bounds = deadline.tighter(this.#deadline)
    while (this.#child !== undefined) await this.#turn(this.#child, bounds)
    return await this.server.query(command, bounds)
  }

  async withTransaction<T>(fn: (tx: Transaction) => Promise<T>, options: TransactionOptions = {}): Promise<T> {
    // All of it, so that what only the outermost can have is refused, and not dropped.
    assertTransactionOptions(options)
    assertFits(options, this)
    const inner = this.#innermost()
    if (inner !== this) return await inner.withTransaction(fn, options)
    if (this.#manual !== undefined) return await this.#manual.withTransaction(fn, options)
    this.#assertOpen()
    const deadline = this.#ambient.deadlineFor(options).tighter(this.#deadline)
    while (this.#child !== undefined) await this.#turn(this.#child, deadline)
    return await this.#nest(fn, deadline)
  }

  afterCommit(hook: Hook): void {
    this.#hook('afterCommit', hook)
  }

  afterRollback(hook: Hook): void {
    this.#hook('afterRollback', hook)
  }

  onUnknown(hook: Hook): void {
    this.#hook('onUnknown', hook)
  }

  #hook(name: HookName, hook: Hook): void {
    if (typeof hook !== 'function') throw new InvalidArgumentError(name, `of type ${typeof hook}`, 'a function')
    if (this.#manual !== undefined) {
      this.#manual.#hook(name, hook)
      return
    }
    this.#assertOpen()
    this.hooks.add(name, hook)
  }

  isWithin(other: OpenTransaction): boolean {
    return other === this || this.#parent?.isWithin(other) === true
  }

  /**
   * No further use, neither of this level nor of what is open below: that is undone with it. False when that was so
   * already. Called by whoever settles this level.
   */
  close(how: string): boolean {
    if (this.#closed !== undefined) return false
    this.#closed = how
    const below = this.#below
    if (below !== undefined) {
      below.retract()
      if (below.scope.close('with the transaction around it')) this.#takeUndone(below.scope.hooks)
    }
    return true
  }

  /**
   * Settles when nothing runs at this level any more, nested transactions that nobody waited for included.
   *
   * @throws TransactionRolledBackError when one that its caller was to end was left open: nobody has said what is to become
   * of the work in it
   */
  async settled(): Promise<void> {
    do {
      while (this.#child !== undefined) await this.#child
      await this.server.settled()
      // One that its caller ends may have begun to end meanwhile.
    } while (this.#child !== undefined)
    if (this.#manual === undefined) return
    const cause = new Error('a nested transaction begun by hand was neither committed nor rolled back')
    throw notedBy(new TransactionRolledBackError({ cause }), this.server.owner)
  }

  /**
   * A savepoint that is over when `fn` is. SAVEPOINT travels with the first statement inside, RELEASE with the next one
   * behind: a nested transaction costs no round trip of its own, unless it fails.
   */
  async #nest<T>(fn: (tx: Transaction) => Promise<T>, deadline: Deadline): Promise<T> {
    const savepoint = this.#openSavepoint(deadline)
    const { scope } = savepoint
    return await this.#endingBelow(savepoint, async () => {
      const value = await this.#ambient.run({ transaction: scope }, () =>
        deadline.within(run(fn, scope), 'cancelled', this.server.owner),
      )
      await this.#release(savepoint)
      return value
    })
  }

  /**
   * Runs `fn`, after which the savepoint is over; undone, if it throws. What is asked of this level meanwhile is no part
   * of the savepoint, and waits.
   */
  async #endingBelow<T>(savepoint: Savepoint, fn: () => Promise<T>, over = Promise.withResolvers<void>()): Promise<T> {
    this.#child = over.promise
    try {
      return await fn()
    } catch (error) {
      await this.#undo(savepoint)
      throw error
    } finally {
      this.#child = undefined
      this.#below = undefined
      over.resolve()
    }
  }

  /**
   * A savepoint that its caller ends. No callback shows what belongs to it, so everything that is asked of
   * this level until then does; `inTurn`: only what is asked of the savepoint itself does, and the level waits.
   */
  async begin(options?: OperationOptions, inTurn = false): Promise<ManualTransaction & Executor> {
    const inner = this.#innermost()
    if (inner !== this) return await inner.begin(options, inTurn)
    this.#assertOpen()
    const deadline = this.#ambient.deadlineFor(options).tighter(this.#deadline)
    while (this.#child !== undefined) await this.#turn(this.#child, deadline)
    if (this.#manual !== undefined) return await this.#manual.begin(options, inTurn)
    const savepoint = this.#openSavepoint(deadline)
    const { scope } = savepoint
    const over = Promise.withResolvers<void>()
    if (inTurn) this.#child = over.promise
    else this.#manual = scope
    let isEnding = false
    const end = async (how: () => Promise<void>): Promise<void> => {
      isEnding = true
      if (!inTurn) this.#manual = undefined
      await this.#endingBelow(savepoint, how, over)
    }
    const closed = (): Error => new TransactionClosedError(scope.#closed ?? 'with the transaction around it')
    const rollback = async (): Promise<void> => (isEnding ? undefined : await end(() => this.#undo(savepoint)))
    const commit = async (): Promise<void> => {
      if (isEnding) throw closed()
      await end(async () => {
        if (scope.isOver) throw closed()
        await this.#release(savepoint)
      })
    }
    return new OpenManualTransaction(this.#ambient, {
      execute: (command, within) => scope.execute(command, within),
      commit,
      rollback,
    })
  }

  /** The next savepoint below this level. SAVEPOINT travels with the first statement in it. */
  #openSavepoint(deadline: Deadline): Savepoint {
    const { server } = this
    const name = `lifeguard_${this.depth + 1}_${++this.#savepoints}`
    const scope = new TransactionScope(server, this.#ambient, this.#clock, this.retries, this.begun, this, deadline)
    const failureBefore = server.firstFailure
    const savepoint = { scope, name, failureBefore, retract: server.sendAhead({ text: `savepoint ${name}` }) }
    this.#below = savepoint
    return savepoint
  }

  async #release({ scope, name, retract }: Savepoint): Promise<void> {
    const { server } = this
    await scope.settled()
    scope.#assertOpen()
    if (server.isFailed) {
      throw notedBy(new TransactionRolledBackError({ cause: server.firstFailure }), server.owner)
    }
    scope.close('released')
    this.hooks.takeReleased(scope.hooks)
    if (!retract()) server.sendAhead({ text: `release savepoint ${name}` })
  }

  async #undo({ scope, name, failureBefore, retract }: Savepoint): Promise<void> {
    // Closed already: a level around it was undone, and this one with it.
    if (!scope.close('rolled back')) return
    this.#takeUndone(scope.hooks)
    if (!retract() && !this.server.isOver) await this.#rollbackTo(name, failureBefore)
  }

  /** A COMMIT of the caller's own has committed the nested levels, too: there is nothing left that could be undone. */
  #takeUndone(nested: Hooks): void {
    const { endedManually } = this.server
    if (endedManually === undefined || endedManually === 'rolled back') this.hooks.takeRolledBack(nested)
    else this.hooks.takeReleased(nested)
  }

  async #rollbackTo(name: string, failureBefore: unknown): Promise<void> {
    const { server } = this
    try {
      await server.settled()
      await server.query({ kind: 'statement', config: { text: `rollback to savepoint ${name}` } }, noDeadline)
      server.sendAhead({ text: `release savepoint ${name}` })
      server.recovered(failureBefore)
    } catch {
      // The caller gets the error that made this necessary. The transaction stays failed, and cannot be committed.
    }
  }

  /** Queries through the handle of an outer level, made inside a nested one, belong to the nested one. */
  #innermost(): OpenTransaction {
    const open = this.#ambient.current?.transaction
    return open?.isWithin(this) === true ? open : this
  }

  /**
   * Waits for the savepoint that is open below: what is written here meanwhile would be undone with a savepoint it is
   * no part of. To be called in a loop, as another savepoint may have opened by the time this returns.
   */
  async #turn(child: Promise<void>, deadline: Deadline): Promise<void> {
    await deadline.within(child, 'not-sent', this.server.owner)
    this.#assertOpen()
  }

  #assertOpen(): void {
    if (this.#closed !== undefined) throw new TransactionClosedError(this.#closed)
  }
}

/** Also a callback that throws before it returns a promise is a rejection. */
async function run<T>(fn: (tx: Transaction) => Promise<T>, tx: Transaction): Promise<T> {
  return await fn(tx)
}
