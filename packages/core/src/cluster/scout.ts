import type { Limit } from '../base/limit.js'
import { formatLsn, type Lsn } from '../base/lsn.js'
import { classify } from '../errors/classify.js'
import { sqlStateOf } from '../errors/sqlstate.js'
import type { Connection } from '../wire/connection.js'
import { Statement } from '../wire/statement.js'
import { lookSql, roleSql, type Sighting, sightingOf } from './sighting.js'

/** PostgreSQL 19 has the command, and this word of it. To ask for the word leaves no error in anybody's log. */
const waitProbeSql = `select exists (select from pg_catalog.pg_get_keywords() where word OPERATOR(pg_catalog.=) 'lsn')`

/**
 * Asks one server, over one connection, what it is and where it stands. What the server turns out not to have is asked for
 * once: what counts is what it can do, not what it calls itself.
 */
export class Scout {
  readonly #connection: Pick<Connection, 'run'>
  #tellsPlace = true
  #waits: boolean | undefined

  constructor(connection: Pick<Connection, 'run'>) {
    this.#connection = connection
  }

  /** Whether the server can wait by itself; undefined before that was tried. */
  get waits(): boolean | undefined {
    return this.#waits
  }

  /** What it says of itself now. */
  async look(limit: Limit, askedAt: number): Promise<Sighting> {
    if (this.#tellsPlace) {
      try {
        return sightingOf(await this.#ask(lookSql, limit), askedAt)
      } catch (error) {
        if (!isRefusal(error)) throw error
        this.#tellsPlace = false
      }
    }
    return sightingOf(await this.#ask(roleSql, limit), askedAt)
  }

  /**
   * Settles when a standby has replayed up to `lsn`, or after `ms` milliseconds; at once when the server has no such
   * command. Which of them it was, the next look tells. Rejects only when the connection is lost or the limit is reached.
   * https://www.postgresql.org/docs/19/sql-wait-for.html
   */
  async waitForReplay(lsn: Lsn, ms: number, limit: Limit): Promise<void> {
    try {
      this.#waits ??= (await this.#ask(waitProbeSql, limit))[0] === true
      // 0 would mean: for ever. It takes no parameters.
      const timeout = `${Math.max(1, Math.ceil(ms))}ms`
      if (this.#waits) await this.#ask(`wait for lsn '${formatLsn(lsn)}' with (timeout '${timeout}', no_throw)`, limit)
    } catch (error) {
      if (sqlStateOf(error) === undefined || classify(error) === 'connection') throw error
      // Whatever it has against it, asking again and again is always possible.
      this.#waits = false
    }
  }

  async #ask(text: string, limit: Limit): Promise<readonly unknown[]> {
    const { rows } = await this.#connection.run(new Statement({ text, rowMode: 'array' }), limit)
    const [row] = rows
    if (row === undefined) throw new Error(`bug: no row came in answer to ${text}`)
    return row as unknown as readonly unknown[]
  }
}

/** The server is well, and does not have what was asked for, or not for this role. */
function isRefusal(error: unknown): boolean {
  return sqlStateOf(error) !== undefined && classify(error) === 'user'
}
