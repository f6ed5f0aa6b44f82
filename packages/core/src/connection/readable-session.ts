import type { Deadline } from '../deadline/deadline.js'
import type { Connection } from './connection.js'
import { Statement } from './statement.js'

/** The style alone: the order of day and month, in which dates are taken in, stays as database and role have it. */
const text =
  "select pg_catalog.set_config('DateStyle', 'ISO', false), pg_catalog.set_config('IntervalStyle', 'postgres', false)"

const encodingText = "select pg_catalog.set_config('client_encoding', 'UTF8', false)"

/**
 * Sees to it that a session writes values in the form in which they are read. It costs a round trip where database or role
 * have another one, and nothing elsewhere. Not in the startup packet: there it would take the order of day and month of
 * the database away, and what a pooler drops would go unnoticed.
 */
export async function makeReadable(connection: Connection, deadline: Deadline): Promise<void> {
  await makeUtf8(connection, deadline)
  if (!connection.styles.areRead) await connection.run(new Statement({ text }), deadline)
}

/** Sees to it that all text is sent and read as UTF-8. */
export async function makeUtf8(connection: Connection, deadline: Deadline): Promise<void> {
  if (!connection.styles.isUtf8) await connection.run(new Statement({ text: encodingText }), deadline)
}
