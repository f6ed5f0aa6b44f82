import {
  type CommandCompleteMessage,
  type Field,
  prepareValue,
  QueryBase,
  type TypeParsers,
  type WireConnection,
} from './pg-internals.js'

/** A statement and its parameters, in the form that `pg` takes it too. */
export interface StatementConfig {
  /** SQL with `$1`, `$2`, ... where values go. Several statements separated by `;` are possible without values only. */
  readonly text: string
  /** One for each placeholder. Values never become part of the SQL text. */
  readonly values?: readonly unknown[] | undefined
  /** Prepares the statement under this name on each connection that runs it, and reuses it there. At most 63 bytes. */
  readonly name?: string | undefined
  /** `'array'` gives rows as arrays of values in the order of the columns. */
  readonly rowMode?: 'array' | undefined
  /** Parsers for this statement in place of the pool's. */
  readonly types?: TypeParsers | undefined
}

/**
 * Asks for some rows of a statement at a time. The portal lives as long as its transaction, so that other statements
 * may run between two batches. https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY
 */
export interface PortalRequest {
  readonly name: string
  /** Rows to fetch now, 1 or more. */
  readonly rows: number
  /** The columns, once the first batch has told them; without them the portal is opened. */
  readonly fields: readonly Field[] | undefined
  /** Set when the batch has come: whether the portal has more to give. */
  hasMore: boolean
}

/** A statement whose rows are fetched in batches. */
export interface PortalConfig extends StatementConfig {
  readonly portal: PortalRequest
}

/** A statement that brings more than its transaction has for it ahead of itself, in the same round trip. */
export interface AheadConfig extends StatementConfig {
  readonly ahead: readonly Prelude[]
}

/** What a statement gave. The same object that `pg` gives. */
export interface QueryResult<Row = Record<string, unknown>> {
  /** The rows, in the order in which the server sent them. */
  readonly rows: Row[]
  /** Rows returned or changed; null for commands that have no such count. */
  readonly rowCount: number | null
  /** The columns. */
  readonly fields: readonly Field[]
  /** The command as the server names it: `SELECT`, `INSERT`, ... */
  readonly command: string
}

/** A command that travels ahead of a statement in the same round trip: BEGIN, SAVEPOINT, set_config. */
export interface Prelude {
  readonly text: string
  readonly values?: readonly string[]
  /** Called with the columns of each row that it gives, as text. */
  readonly onRow?: (columns: readonly (string | null)[]) => void
  /** Called with the server's word for what it did, `COMMIT` or `ROLLBACK` say, once it is done. */
  readonly onComplete?: (command: string) => void
}

/**
 * One statement on its way over a connection, with what goes ahead of it.
 *
 * The preludes and the statement are Parse/Bind/Execute each, with ONE Sync behind them all: when a prelude fails, the
 * server skips the rest up to the Sync, so that a statement never runs outside of the transaction it was meant for.
 * https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-PIPELINING
 */
export class Statement extends QueryBase {
  readonly #preludes: readonly Prelude[]
  readonly #portal: PortalRequest | undefined
  /** Preludes whose CommandComplete has not come yet: what comes before it is theirs. */
  #ahead: number
  /** Whether any byte of it was written. */
  sent = false
  /** The first thing that went wrong, if anything did. */
  failure: Error | undefined
  /** Why the host that serves it was chosen, where there was a choice; for events. */
  why: string | undefined
  /** Set by the connection: called when the statement failed before a byte was sent, so that no answer will come. */
  onUnsent: ((error: Error) => void) | undefined

  constructor(config: StatementConfig | PortalConfig, preludes: readonly Prelude[] = []) {
    const portal = 'portal' in config ? config.portal : undefined
    const { text, values, name, rowMode, types } = config
    // Text and values apart spare us the copy that `pg` makes of an object, property by property.
    if (rowMode === undefined && types === undefined) super(text, values)
    else super(config)
    if (name !== undefined) this.name = name
    // Behind preludes, or for a portal, the simple protocol will not do: it would end in a Sync of its own.
    if (preludes.length > 0 || portal !== undefined) this.queryMode = 'extended'
    this.#portal = portal
    this.#preludes = preludes
    this.#ahead = preludes.length
  }

  /** The result; as in `pg` an array of them when the text held several statements. */
  get result(): QueryResult {
    return this._results as unknown as QueryResult
  }

  override submit(connection: WireConnection): Error | null {
    // Set first: a value that cannot be sent fails in the middle of it, behind bytes that the server will answer.
    this.sent = true
    const refused = super.submit(connection)
    if (refused !== null) this.sent = false
    return refused
  }

  override prepare(connection: WireConnection): void {
    for (const { text, values } of this.#preludes) {
      connection.parse({ text })
      connection.bind({ values })
      connection.execute({})
    }
    if (this.#portal === undefined) super.prepare(connection)
    else this.#fetch(connection, this.#portal)
  }

  #fetch(connection: WireConnection, { name, rows, fields }: PortalRequest): void {
    try {
      if (fields === undefined) {
        const values = this.values === undefined ? undefined : prepared(this.values)
        connection.parse({ text: this.text })
        connection.bind({ portal: name, values })
        connection.describe({ type: 'P', name })
      } else this._result.addFields(fields)
      connection.execute({ portal: name, rows })
    } catch (error) {
      // A value that cannot be sent. The Sync still goes, so that the connection gets an answer and goes on.
      this.failure = error as Error
    }
    connection.sync()
  }

  override handlePortalSuspended(): void {
    if (this.#portal !== undefined) this.#portal.hasMore = true
  }

  override handleDataRow(message: { readonly fields: readonly (string | null)[] }): void {
    if (this.#ahead > 0) {
      this.#preludes.at(-this.#ahead)?.onRow?.(message.fields)
      return
    }
    if (this.failure !== undefined) return
    try {
      const result = this._result
      result.rows.push(result.parseRow(message.fields))
    } catch (error) {
      // A type parser threw: the rest of the rows is read and dropped, and the caller gets the error.
      this.failure = error as Error
    }
  }

  override handleCommandComplete(message: CommandCompleteMessage, connection: WireConnection): void {
    if (this.#ahead > 0) {
      this.#preludes.at(-this.#ahead)?.onComplete?.(message.text)
      this.#ahead -= 1
    } else super.handleCommandComplete(message, connection)
  }

  override handleError(error: Error, connection: WireConnection): void {
    this.failure ??= error
    if (this.sent && this.#ahead > 0 && this.name !== undefined) {
      // The statement was skipped with its failing prelude: its Parse never happened.
      delete connection.parsedStatements[this.name]
      delete connection.submittedNamedStatements[this.name]
    }
    if (!this.sent) this.onUnsent?.(error)
  }

  /** Its caller has given it up while it runs; the connection cancels it on the server besides. */
  interrupt(_connection: WireConnection): void {
    // A statement has nothing to do about that; a COPY does.
  }

  override handleReadyForQuery(): void {
    // The connection settles every statement when it is ready again, failed ones too.
  }
}

/** What `pg` makes of values before they are sent. */
export function prepared(values: readonly unknown[] | undefined): unknown[] {
  return values === undefined ? [] : values.map((value) => prepareValue(value))
}

/**
 * Whether a text could hold more than one statement. Only such a text needs the simple protocol; a semicolon in a
 * string costs no more than a round trip.
 */
export function mayHoldSeveral(text: string): boolean {
  const at = text.indexOf(';')
  return at !== -1 && text.slice(at + 1).trim() !== ''
}
