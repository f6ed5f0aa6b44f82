import { AsyncLocalStorage } from 'node:async_hooks'
import type { Causality } from '../cluster/causality.js'
import type { ReadScope } from '../cluster/router.js'
import type { RoutingContext } from '../cluster/servers.js'
import type { Command } from '../connection/command.js'
import type { QueryResult } from '../connection/result.js'
import type { Clock } from '../deadline/clock.js'
import { Deadline, noDeadline, type OperationOptions } from '../deadline/deadline.js'
import type { AmbientBounds, Bounds, Executor } from '../query/queryable.js'
import type { WorkContext } from '../resource-pool/wait-queue.js'
import type { AmbientLock } from './held-lock.js'
import type { BeginOptions } from './options.js'
import type { ServerTransaction } from './server-transaction.js'
import type { ManualTransaction, Transaction } from './transaction.js'

/** Takes in what is asked of the pool in some code, to send it together with what is asked elsewhere. */
export interface StatementCollector {
  /** Settles with the statement's own answer, once all of them have been sent; refuses what is more than a statement. */
  add(command: Command): Promise<QueryResult>
}

/** A level of a transaction that is open around some code, as the code that joins it sees it. */
export interface OpenTransaction extends Transaction {
  readonly isOver: boolean
  /** How the outermost level began. */
  readonly begun: BeginOptions
  execute(command: Command, deadline: Deadline): Promise<QueryResult>
  /** The transaction on the server that this is a level of. */
  readonly server: ServerTransaction
  /** A savepoint that its caller ends. */
  begin(options?: OperationOptions, inTurn?: boolean): Promise<ManualTransaction & Executor>
  /** Whether this is that level, or one nested in it. */
  isWithin(other: OpenTransaction): boolean
}

/** A transaction that the next one of an ORM in this context is to be, in place of a new one. */
export interface Adoption {
  readonly transaction: Transaction
  isClaimed: boolean
}

/**
 * What is open around the code that runs now: a transaction that queries join, locks that are already held, and the
 * number of connections that this line of work has taken out of the pool.
 */
export interface AmbientContext {
  readonly transaction: OpenTransaction | undefined
  readonly locks: ReadonlyMap<string, AmbientLock>
  /** What a deadline around this code still allows. */
  readonly deadline: Deadline
  /** The innermost work around this code that may hold connections: what waits for one is found by it. */
  readonly holder: WorkContext | undefined
  /** What this line of work has written, so that its reads show it. */
  readonly causality: Causality | undefined
  /** How far behind reads may be in here; undefined where everything belongs to the primary. */
  readonly reading: ReadScope | undefined
  /** What an ORM is to take for the transaction that it begins in here. */
  readonly adoption: Adoption | undefined
  /** Where statements are taken to instead of to a server, while a batch is being put together. */
  readonly collecting: StatementCollector | undefined
}

/** What a pool has open around some code, with what other pools have open around it; each pool is in it once at most. */
interface Scope {
  readonly of: Ambient
  readonly context: AmbientContext
  readonly around: Scope | undefined
}

/** One for all pools: what outlives its caller leaves what any of them has open, and not only its own pool's. */
const storage = new AsyncLocalStorage<Scope | undefined>()

/**
 * The ambient context of one pool. It follows the asynchronous flow of the code, so that every ORM on the pool runs in
 * the open transaction without knowing of it. https://nodejs.org/api/async_context.html
 */
export class Ambient implements AmbientBounds {
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The context of the code that calls; undefined outside of any. */
  get current(): AmbientContext | undefined {
    let scope = storage.getStore()
    while (scope !== undefined && scope.of !== this) scope = scope.around
    return scope?.context
  }

  /** The bounds of an operation that begins here: its own options, and the deadline around it. */
  deadlineFor(options: OperationOptions | undefined): Deadline {
    const own = Deadline.of(options, this.#clock)
    const around = this.current?.deadline
    return around === undefined ? own : own.tighter(around)
  }

  /** The deadline around the code that calls now, for what somebody else begins later: it holds beside that around him. */
  fromHere(): Bounds {
    const around = this.current?.deadline
    return around === undefined ? this : { deadlineFor: (options) => this.deadlineFor(options).tighter(around) }
  }

  /** Runs `fn` with parts of the context replaced. */
  run<T>(change: Partial<AmbientContext>, fn: () => T): T {
    const { current } = this
    const context: AmbientContext = {
      transaction: current?.transaction,
      locks: current?.locks ?? noLocks,
      deadline: current?.deadline ?? noDeadline,
      holder: current?.holder,
      causality: current?.causality,
      reading: current?.reading,
      adoption: current?.adoption,
      collecting: current?.collecting,
      ...change,
    }
    return storage.run({ of: this, context, around: without(storage.getStore(), this) }, fn)
  }

  /**
   * Runs `fn` without anything that this pool or any other has open around it: transaction, locks, deadline, reads, batch.
   * The rest of the caller's asynchronous context stays. For what outlives its caller: `exit(captureContext)` is the context
   * for the callbacks of elections and subscriptions. What calls them is begun in no context at all, by `inNoContext`.
   */
  exit<T>(fn: () => T): T {
    return storage.run(undefined, fn)
  }
}

function without(scope: Scope | undefined, ambient: Ambient): Scope | undefined {
  if (scope === undefined) return undefined
  if (scope.of === ambient) return scope.around
  const around = without(scope.around, ambient)
  return around === scope.around ? scope : { ...scope, around }
}

const noLocks: ReadonlyMap<string, AmbientLock> = new Map()

/** What a statement may do here, and what it must see. */
export function routingContextOf(context: AmbientContext | undefined): RoutingContext {
  if (context === undefined) return asksForNothing
  const { reading, causality, locks, holder } = context
  return { reading, causality, isUnderLock: locks.size > 0, holder }
}

const asksForNothing: RoutingContext = {
  reading: undefined,
  causality: undefined,
  isUnderLock: false,
  holder: undefined,
}

/**
 * Runs `fn`, in which one transaction that an ORM begins stands for `transaction`: so the ORM makes its own transaction
 * object, with its types and all that it adds, around a transaction that the core begins, retries and commits.
 */
export function adopting<T>(ambient: Ambient, transaction: Transaction, fn: () => Promise<T>): Promise<T> {
  return ambient.run({ adoption: { transaction, isClaimed: false } }, fn)
}

/** The transaction to adopt, once; undefined when the ORM is to begin one of its own. */
export function claimAdopted(ambient: Ambient): Transaction | undefined {
  const adoption = ambient.current?.adoption
  if (adoption === undefined || adoption.isClaimed) return undefined
  adoption.isClaimed = true
  return adoption.transaction
}
