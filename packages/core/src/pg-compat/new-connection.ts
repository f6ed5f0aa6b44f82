import { type Command, operationFor } from '../connection/command.js'
import type { Connection } from '../connection/connection.js'
import type { PgClient } from '../connection/pg-classes.js'
import type { QueryResult } from '../connection/result.js'
import type { Clock } from '../deadline/clock.js'
import { Deadline } from '../deadline/deadline.js'
import { ConnectionReleasedError } from '../errors/pool-errors.js'
import { type Bounds, type Executor, type QueryArguments, type Queryable, query } from '../query/queryable.js'
import { OpenSubmittables, type PgSession, standing } from './pg-session.js'

/** A connection that has just been opened, and that nobody has used yet: see the option `onConnect`. */
export interface NewConnection extends Queryable {
  /** Process id of its backend, as in `pg_stat_activity`. */
  readonly pid: number
  /**
   * This connection with the shape of a `pg.Client`, for code that takes one: the very client that `pool.asPgPool()` hands
   * out for it, so that what is kept on it, and its listeners and type parsers, stay. It is refused once `onConnect` is over,
   * until somebody is given it.
   *
   * @throws ConnectionReleasedError once `onConnect` is over
   */
  asPgClient(): PgClient
}

/** What the option `onConnect` may be; what it gives is awaited. */
export type OnConnect = (connection: NewConnection) => unknown

/** Lends the client that stands for the connection of a session; `release` ends that. */
export type LendClient = (session: PgSession) => { readonly client: PgClient; readonly release: () => void }

/** A connection while `onConnect` has it; refuses everything after. */
class ConnectionInPreparation implements NewConnection, Executor, Bounds {
  readonly #deadline: Deadline
  readonly #clock: Clock
  readonly #lend: LendClient
  readonly #submittables = new OpenSubmittables()
  #lent: ReturnType<LendClient> | undefined
  #connection: Connection | undefined

  constructor(connection: Connection, deadline: Deadline, clock: Clock, lend: LendClient) {
    this.#connection = connection
    this.#deadline = deadline
    this.#clock = clock
    this.#lend = lend
  }

  get pid(): number {
    return this.#held().pid
  }

  query<Row>(...args: readonly unknown[]): Promise<QueryResult<Row>> {
    return query<Row>(this, this, args as unknown as QueryArguments)
  }

  execute(command: Command, deadline: Deadline): Promise<QueryResult> {
    return this.#held().run(operationFor(command), deadline)
  }

  deadlineFor(options: Parameters<Bounds['deadlineFor']>[0]): Deadline {
    return Deadline.of(options, this.#clock).tighter(this.#deadline)
  }

  asPgClient(): PgClient {
    const connection = this.#held()
    this.#lent ??= this.#lend({
      ...standing(connection),
      run: (config, deadline) => this.execute({ kind: 'statement', config }, deadline.tighter(this.#deadline)),
      submit: (submittable, deadline, reported) =>
        this.#submittables.run(
          submittable,
          (adapter) => connection.submit(adapter, deadline.tighter(this.#deadline)),
          reported,
        ),
    })
    return this.#lent.client
  }

  /** Its user is done: what it has asked for and not waited for goes ahead of everybody else, too. */
  async settle(): Promise<void> {
    const connection = this.#held()
    this.#submittables.close(connection)
    await connection.whenQuiet()
  }

  end(): void {
    this.#lent?.release()
    this.#connection = undefined
  }

  #held(): Connection {
    if (this.#connection === undefined) throw new ConnectionReleasedError()
    return this.#connection
  }
}

/** What a host does with each new connection, out of what the user wants to be done with it. */
export function preparation(
  onConnect: OnConnect,
  clock: Clock,
  lend: LendClient,
): (connection: Connection, deadline: Deadline) => Promise<void> {
  return async (connection, deadline) => {
    const lent = new ConnectionInPreparation(connection, deadline, clock, lend)
    try {
      await onConnect(lent)
      await lent.settle()
    } finally {
      lent.end()
    }
  }
}
