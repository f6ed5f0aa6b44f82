import type { Connection } from '../connection/connection.js'
import { makeReadable, makeUtf8 } from '../connection/readable-session.js'
import { Statement } from '../connection/statement.js'
import type { Clock } from '../deadline/clock.js'
import { noDeadline } from '../deadline/deadline.js'

/**
 * What is done to a connection that is released, after its user got an answer.
 *
 * - `'off'`: nothing is sent. One that is busy, or in a transaction, is closed.
 * - `'rollback'`: one that is busy is stopped, a transaction that is open or failed is rolled back.
 * - `'full'`: that, and then everything that an earlier user may have left in the session: settings, role, temporary
 *   tables, prepared statements, session locks, LISTEN, cursors, sequences.
 */
export type ResetMode = 'off' | 'rollback' | 'full'

/** Everything that it may be. */
export const resetModes: readonly ResetMode[] = ['off', 'rollback', 'full']

/** How long the reset of a connection may take. */
const resetBoundMs = 5_000

/**
 * DISCARD ALL without DISCARD PLANS, in one message. RESET ALL does not reset the role, and its values are those with which
 * the session was started, not the server's.
 * https://www.postgresql.org/docs/18/sql-discard.html
 */
const resetText = [
  'close all',
  'deallocate all',
  'set session authorization default',
  'reset role',
  'reset all',
  'unlisten *',
  'select pg_catalog.pg_advisory_unlock_all()',
  'discard sequences',
  'discard temp',
].join('; ')

/** Resets connections that are released, for the next user. */
export class SessionReset {
  readonly #mode: ResetMode | undefined
  readonly #clock: Clock

  constructor(mode: ResetMode | undefined, clock: Clock) {
    this.#mode = mode
    this.#clock = clock
  }

  /** Whether a connection can be used again as it is, so that it is free at once. */
  isReusable(connection: Connection): boolean {
    return this.#mode !== 'full' && isClean(connection) && connection.styles.isUtf8
  }

  /** Resets one; false when that cannot be done, or may not, and it has to be closed. Never rejects. */
  async reset(connection: Connection): Promise<boolean> {
    if (this.#mode === 'off') return false
    const bound = this.#clock.setTimer(resetBoundMs, () => connection.terminate())
    try {
      await connection.whenQuiet()
      if (connection.isAlive && connection.status !== 'I') {
        await connection.run(new Statement({ text: 'rollback' }), noDeadline)
      }
      if (connection.isAlive && this.#mode === 'full') {
        await connection.run(new Statement({ text: resetText }), noDeadline)
        // The settings of database and role are in force again.
        await makeReadable(connection, noDeadline)
      }
      // In another encoding the next user would get garbled text without an error.
      if (connection.isAlive) await makeUtf8(connection, noDeadline)
    } catch {
      // A connection that cannot be reset is of no use; its caller has had an answer before.
      connection.terminate()
    }
    this.#clock.clearTimer(bound)
    return isClean(connection)
  }
}

function isClean(connection: Connection): boolean {
  return connection.isAlive && connection.isQuiet && connection.status === 'I'
}
