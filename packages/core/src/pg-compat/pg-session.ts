import type { Command } from '../connection/command.js'
import type { Connection } from '../connection/connection.js'
import type { Submittable } from '../connection/pg-internals.js'
import type { QueryResult } from '../connection/result.js'
import { Statement, type StatementConfig } from '../connection/statement.js'
import { SubmittableAdapter } from '../connection/submittable.js'
import type { Deadline } from '../deadline/deadline.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import { ConnectionReleasedError } from '../errors/pool-errors.js'
import { TransactionRolledBackError } from '../errors/transaction-errors.js'
import type { Executor } from '../query/queryable.js'
import type { ConnectionSlot, Server } from '../server/server.js'
import { sqlText } from '../sql/sql-text.js'
import type { TransactionControl } from '../sql/transaction-control.js'
import type { OpenTransaction } from '../transaction/context.js'
import { assertFits } from '../transaction/join.js'
import { commitError } from '../transaction/server-transaction.js'
import type { ManualTransaction } from '../transaction/transaction.js'

/** The cursors and streams of one client that are not at their end, so that none outlives its use of the connection. */
export class OpenSubmittables {
  readonly #open = new Set<SubmittableAdapter>()

  /** @param reported which error it gets for a failure */
  async run(
    submittable: Submittable,
    run: (adapter: SubmittableAdapter) => Promise<unknown>,
    reported?: (error: unknown) => unknown,
  ): Promise<void> {
    const adapter = new SubmittableAdapter(submittable, reported)
    this.#open.add(adapter)
    try {
      await run(adapter)
    } finally {
      this.#open.delete(adapter)
    }
  }

  /** The client is released: each of them ends with an error, and its connection is free again. */
  close(connection: Connection): void {
    if (this.#open.size === 0) return
    const error = new ConnectionReleasedError()
    for (const adapter of this.#open) connection.closeSubmittable(adapter, error)
  }
}

/** What a client with the shape of pg's runs on. */
export interface PgSession {
  readonly connection: Connection
  /** Set by the client: called when the session ends by itself. */
  onEnded?: (() => void) | undefined
  run(config: StatementConfig, deadline: Deadline): Promise<QueryResult>
  /** @param reported which error the submittable gets for a failure */
  submit(submittable: Submittable, deadline: Deadline, reported?: (error: unknown) => unknown): Promise<void>
  /** Closes the connection under it, where it is its own. */
  close(): Promise<void>
  /** No further use. `discard`: nobody else shall use the connection either, where it is its own. */
  end(discard: boolean): void
}

/**
 * A connection out of the pool for somebody who begins and ends transactions by SQL. It mends what programs written for
 * `pg` do: a BEGIN that fails before they guard it leaks nothing, a ROLLBACK never hides the error that led to it, and
 * a COMMIT that committed nothing is an error.
 */
export class OwnSession implements PgSession {
  readonly connection: Connection
  onEnded: (() => void) | undefined
  readonly #server: Server
  #slot: ConnectionSlot | undefined
  readonly #submittables = new OpenSubmittables()
  #isUsed = false
  /** The first statement that failed in the open transaction. */
  #failure: unknown

  constructor(server: Server, slot: ConnectionSlot) {
    this.#server = server
    this.#slot = slot
    this.connection = slot.resource
  }

  async run(config: StatementConfig, deadline: Deadline): Promise<QueryResult> {
    const statement = new Statement(config)
    statement.known = this.connection.known(config.text)
    const { control } = statement.known.sql
    if (control?.kind === 'rollback' && !control.chain) return await this.#rollback(statement, deadline)
    const isFirst = this.#isUsed === false
    this.#isUsed = true
    if (this.#slot === undefined) throw new ConnectionReleasedError()
    if (control?.kind === 'begin') this.#failure = undefined
    try {
      const result = await this.connection.run(statement, deadline)
      if (control?.kind === 'commit' && result.command === 'ROLLBACK') {
        throw new TransactionRolledBackError({ cause: this.#failure })
      }
      return result
    } catch (error) {
      this.#failure ??= error
      // Programs write BEGIN before the `try` whose `finally` releases: with nothing begun, there is nothing to keep.
      if (control?.kind === 'begin' && (isFirst || !this.connection.isAlive)) {
        // First: the next one to have the connection may be given it in the very call that gives it back.
        this.onEnded?.()
        this.end(false)
      }
      throw control?.kind === 'commit' && !this.connection.isAlive ? commitError(error) : error
    }
  }

  async submit(submittable: Submittable, deadline: Deadline, reported?: (error: unknown) => unknown): Promise<void> {
    this.#isUsed = true
    await this.#submittables.run(submittable, (adapter) => this.connection.submit(adapter, deadline), reported)
  }

  close(): Promise<void> {
    return closeAtOnce(this.connection)
  }

  end(discard: boolean): void {
    const slot = this.#slot
    if (slot === undefined) return
    this.#slot = undefined
    this.#submittables.close(this.connection)
    if (discard) this.#server.pool.destroy(slot)
    else this.#server.release(slot)
  }

  /** Whatever comes of it, nothing is left of the transaction: where the server does not answer, the session is ended. */
  async #rollback(statement: Statement, deadline: Deadline): Promise<QueryResult> {
    if (this.#slot === undefined || !this.connection.isAlive) return answered('ROLLBACK')
    try {
      return await this.connection.run(statement, deadline)
    } catch {
      this.connection.terminate()
      return answered('ROLLBACK')
    }
  }
}

/** A connection as such, whoever has it now: for those who prepare every new one for its users. */
export function standing(connection: Connection): PgSession {
  return {
    connection,
    run: (config, deadline) => connection.run(new Statement(config), deadline),
    submit: (submittable, deadline, reported) =>
      connection.submit(new SubmittableAdapter(submittable, reported), deadline),
    close: () => closeAtOnce(connection),
    end: () => undefined,
  }
}

/** As with `pg`: what runs is broken off, as it might never end. */
function closeAtOnce(connection: Connection): Promise<void> {
  if (connection.isQuiet) return connection.close()
  connection.terminate()
  return connection.whenClosed()
}

/** What the server would have answered. */
export function answered(command: string): QueryResult {
  return { command, rows: [], rowCount: null, fields: [] }
}

/**
 * A client with the shape of pg's inside an open transaction: it runs on that transaction's connection, and what it
 * begins is a savepoint there.
 */
export class JoinedSession implements PgSession {
  readonly connection: Connection
  readonly #open: OpenTransaction
  readonly #submittables = new OpenSubmittables()
  #inner: (ManualTransaction & Executor) | undefined
  /** Whether it tried to begin: a ROLLBACK after a BEGIN or COMMIT that failed is clean-up, and has nothing to do. */
  #hasTried = false

  private constructor(open: OpenTransaction, connection: Connection) {
    this.#open = open
    this.connection = connection
  }

  /** Joins a transaction; BEGIN is sent for it, if that has not been done yet. */
  static async join(open: OpenTransaction, deadline: Deadline): Promise<JoinedSession> {
    if (open.server.connection === undefined) await open.execute({ kind: 'statement', config: { text: '' } }, deadline)
    const { connection } = open.server
    if (connection === undefined) throw new Error('bug: a transaction runs on no connection')
    return new JoinedSession(open, connection)
  }

  async run(config: StatementConfig, deadline: Deadline): Promise<QueryResult> {
    const { control } = sqlText(config.text)
    if (control === undefined || (control.kind === 'begin' && !control.isValid))
      return await this.#execute({ kind: 'statement', config }, deadline)
    if (control.kind === 'begin') return await this.#begin(control)
    if ((control.kind !== 'commit' && control.kind !== 'rollback') || control.chain) throw refusal(control.kind)
    const inner = this.#inner
    this.#inner = undefined
    if (control.kind === 'rollback') {
      if (inner === undefined && !this.#hasTried) throw refusal('rollback')
      await inner?.rollback()
      return answered('ROLLBACK')
    }
    if (inner === undefined) throw refusal('commit')
    await inner.commit()
    return answered('COMMIT')
  }

  async submit(submittable: Submittable, deadline: Deadline, reported?: (error: unknown) => unknown): Promise<void> {
    await this.#submittables.run(
      submittable,
      async (adapter) => {
        try {
          await this.#execute({ kind: 'submittable', adapter }, deadline)
        } catch (error) {
          adapter.failed(error, !this.connection.isAlive)
          throw error
        }
      },
      reported,
    )
  }

  /** The connection belongs to the transaction around it. */
  async close(): Promise<void> {
    this.end()
  }

  end(): void {
    this.#submittables.close(this.connection)
    const inner = this.#inner
    this.#inner = undefined
    void inner?.rollback()
  }

  async #begin(control: Extract<TransactionControl, { readonly kind: 'begin' }>): Promise<QueryResult> {
    // The server, too, lets a second BEGIN pass: it is in a transaction already.
    if (this.#inner !== undefined) return answered('BEGIN')
    this.#hasTried = true
    const { isolation, readOnly, deferrable } = control
    assertFits(
      {
        isolation,
        readOnly: readOnly === false && this.#open.begun.readOnly !== true ? undefined : readOnly,
        deferrable: deferrable === true ? true : undefined,
      },
      this.#open,
    )
    this.#inner = await this.#open.begin()
    return answered('BEGIN')
  }

  #execute(command: Command, deadline: Deadline): Promise<QueryResult> {
    return (this.#inner ?? this.#open).execute(command, deadline)
  }
}

/** What ends the transaction around a call, or does so in the midst of other statements, is not for those inside it. */
export function refusal(what: TransactionControl['kind']): InvalidArgumentError {
  const said = what === 'mixed' ? 'one that begins or ends a transaction among others' : what.toUpperCase()
  return new InvalidArgumentError(
    'the statement',
    said,
    'inside of an open transaction a plain BEGIN on a client of its own, which is a savepoint, and the COMMIT or ROLLBACK of that',
  )
}
