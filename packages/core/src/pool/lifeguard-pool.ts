import { inspect } from 'node:util'
import type { Command } from '../connection/command.js'
import type { PgPool } from '../connection/pg-classes.js'
import type { QueryResult } from '../connection/result.js'
import type { Deadline } from '../deadline/deadline.js'
import { assertKnownOptions, operationNames } from '../errors/known-options.js'
import { ownedBy } from '../errors/origin.js'
import { PoolClosedError } from '../errors/pool-errors.js'
import type { Listeners } from '../listen/listener.js'
import { elect } from '../lock/election.js'
import { listLocks } from '../lock/listing.js'
import { withSemaphore } from '../lock/semaphore.js'
import { acquireLock, type LockEnvironment, tryWithLock, withLock, withMigrationLock } from '../lock/with-lock.js'
import type { LendClient } from '../pg-compat/new-connection.js'
import { PgPoolFacade } from '../pg-compat/pg-pool.js'
import type { PgSession } from '../pg-compat/pg-session.js'
import { copyTo } from '../query/copy.js'
import { Operations } from '../query/operations.js'
import { withCallersStack } from '../query/queryable.js'
import { withDeadline } from '../transaction/ambient-deadline.js'
import { endedError } from '../transaction/join.js'
import { beginTransaction } from '../transaction/manual-transaction.js'
import { updateVersioned, withOptimisticRetry } from '../transaction/optimistic.js'
import type { Transaction } from '../transaction/transaction.js'
import { withTransaction } from '../transaction/with-transaction.js'
import { type Adaptable, type AdapterPool, createAdapterPool, forAdapters } from './adapter-pool.js'
import { batchTogether } from './batch-together.js'
import { endPool, evictFrom, pauseServers, resizePool, resumeServers } from './control.js'
import { executeJoined } from './execute.js'
import { Fallback } from './fallback.js'
import { fanOut, forEachConcurrent } from './fan-out.js'
import { poolHealth } from './health.js'
import type { Pool } from './pool.js'
import { AcquiredConnection } from './pooled-connection.js'
import { causalToken, read, withCausality } from './read.js'
import { activeConnections, poolStats } from './stats.js'
import { executorFromHere, streamBatches } from './stream.js'

/**
 * The pool: every method calls the function that does the work, with what the parts of the pool share.
 *
 * Methods that `Pool` alone has are fields, so that each signature is written once, in the interface, and each can be taken
 * out of the pool: `const { withLock } = pool`. Those of `Operations` are on the prototype, which connections and
 * transactions share with it.
 */
export class LifeguardPool extends Operations implements Pool, Adaptable {
  readonly name: string
  readonly #environment: LockEnvironment
  readonly #fallback: Fallback
  readonly #listeners: Listeners
  #pgPool: PgPoolFacade | undefined
  #adapterPool: AdapterPool | undefined

  constructor(name: string, environment: LockEnvironment, listeners: Listeners) {
    super(environment.ambient)
    this.name = name
    this.#environment = environment
    this.#listeners = listeners
    this.#fallback = new Fallback(environment)
  }

  // Statements

  /** How `query` and all that is like it run what they are given. @internal */
  execute(command: Command, deadline: Deadline): Promise<QueryResult> {
    return executeJoined(this.#environment, command, deadline)
  }

  override readonly streamBatches: Pool['streamBatches'] = (...args) => streamBatches(this.#environment, ...args)

  override readonly copyTo: Pool['copyTo'] = (...args) =>
    copyTo(executorFromHere(this.#environment), this.#environment.ambient, ...args)

  readonly batchTogether: Pool['batchTogether'] = (...args) => batchTogether(this, this.#environment, ...args)

  readonly listen: Pool['listen'] = (...args) => this.#listeners.listen(...args)

  readonly acquire: Pool['acquire'] = async (options) => {
    assertKnownOptions(options, operationNames)
    const { ambient, server } = this.#environment
    try {
      const slot = await server.acquire(ambient.deadlineFor(options), ambient.current?.holder)
      return new AcquiredConnection(this.#environment, slot)
    } catch (error) {
      throw withCallersStack(error)
    }
  }

  // Transactions

  // Not `...args`: the function takes one more, which is not for users.
  readonly withTransaction: Pool['withTransaction'] = (fn, options) => withTransaction(this.#environment, fn, options)

  readonly beginTransaction: Pool['beginTransaction'] = async (options) => {
    if (this.#environment.server.pool.isEnding) {
      throw ownedBy(new PoolClosedError('cannot begin a transaction'), this.#environment.server.environment)
    }
    return await beginTransaction(this.#environment, options)
  }

  get currentTransaction(): Transaction | undefined {
    const transaction = this.#environment.ambient.current?.transaction
    if (transaction?.isOver === true) throw endedError(transaction)
    return transaction
  }

  readonly outsideTransaction: Pool['outsideTransaction'] = (fn) =>
    this.#environment.ambient.run({ transaction: undefined }, fn)

  readonly withOptimisticRetry: Pool['withOptimisticRetry'] = (...args) =>
    withOptimisticRetry(this.#environment, ...args)

  readonly updateVersioned: Pool['updateVersioned'] = (...args) => updateVersioned(this, this.#environment, ...args)

  // Locks

  readonly withLock: Pool['withLock'] = (...args) => withLock(this.#environment, ...args)

  readonly tryWithLock: Pool['tryWithLock'] = (...args) => tryWithLock(this.#environment, ...args)

  readonly acquireLock: Pool['acquireLock'] = (...args) => acquireLock(this.#environment, ...args)

  readonly withSemaphore: Pool['withSemaphore'] = (...args) => withSemaphore(this.#environment, ...args)

  readonly elect: Pool['elect'] = (...args) => elect(this.#environment, ...args)

  readonly withMigrationLock: Pool['withMigrationLock'] = (...args) => withMigrationLock(this.#environment, ...args)

  readonly listLocks: Pool['listLocks'] = async (options) => {
    assertKnownOptions(options, operationNames)
    const { server, lockNames, ambient } = this.#environment
    return await listLocks(server, lockNames, ambient.deadlineFor(options))
  }

  // Reads

  readonly read: Pool['read'] = (...args) => read(this.#environment, ...args)

  readonly withCausality: Pool['withCausality'] = (...args) => withCausality(this.#environment, ...args)

  readonly causalToken: Pool['causalToken'] = () => causalToken(this.#environment)

  readonly withFallback: Pool['withFallback'] = (...args) => this.#fallback.get(...args)

  // Deadlines

  readonly withDeadline: Pool['withDeadline'] = (...args) => withDeadline(this.#environment, ...args)

  readonly fanOut: Pool['fanOut'] = (...args) => fanOut(this.#environment, ...args)

  readonly forEachConcurrent: Pool['forEachConcurrent'] = (...args) => forEachConcurrent(this.#environment, ...args)

  // Control

  readonly on: Pool['on'] = (...args) => this.#environment.events.on(...args)

  readonly stats: Pool['stats'] = () => poolStats(this.name, this.#environment)

  readonly active: Pool['active'] = () => activeConnections(this.#environment)

  readonly health: Pool['health'] = (...args) => poolHealth(this.#environment, ...args)

  readonly evict: Pool['evict'] = (...args) => evictFrom(this.#environment, ...args)

  readonly pause: Pool['pause'] = (...args) => pauseServers(this.#environment, ...args)

  readonly resume: Pool['resume'] = () => resumeServers(this.#environment)

  readonly resize: Pool['resize'] = (...args) => resizePool(this.#environment, ...args)

  readonly end: Pool['end'] = (...args) => endPool(this.#environment, this.#listeners, ...args)

  readonly cancelEnd: Pool['cancelEnd'] = () => this.#environment.server.pool.cancelEnd()

  // Other shapes of it

  readonly asPgPool: Pool['asPgPool'] = () => this.#facade() as unknown as PgPool

  /** Lends the client of a new connection to who prepares it. @internal */
  lendNew(session: PgSession): ReturnType<LendClient> {
    return this.#facade().lendNew(session)
  }

  #facade(): PgPoolFacade {
    this.#pgPool ??= new PgPoolFacade(this, this.#environment)
    return this.#pgPool
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end()
  }

  get [forAdapters](): AdapterPool | undefined {
    // What stands in place of a pool, such as a Proxy, has nothing of this.
    if (!(#environment in this)) return undefined
    this.#adapterPool ??= createAdapterPool(this, this.#environment)
    return this.#adapterPool
  }

  /** What `console.log` shows: which pool it is, and not the list of its methods. */
  [inspect.custom](): string {
    return `LifeguardPool ${inspect({ name: this.name })}`
  }
}
