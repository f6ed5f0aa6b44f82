import { randomBytes } from 'node:crypto'
import type { Connection } from '../connection/connection.js'
import { Statement } from '../connection/statement.js'
import type { Deadline } from '../deadline/deadline.js'
import { LockUnsupportedError } from '../errors/transaction-errors.js'
import type { WorkContext } from '../resource-pool/wait-queue.js'
import type { Server } from '../server/server.js'

/** Behind a busy pooler a connection may be given the same session again by chance, but not often in a row. */
const rounds = 6

/**
 * Whether session locks mean anything on this way to the server: every connection must be a session of its own, and what
 * one has locked another must not get. Behind a transaction pooler they change sessions; and there are servers whose lock
 * functions do nothing and say yes.
 *
 * @throws LockUnsupportedError
 */
export async function testSessionLocks(
  server: Server,
  deadline: Deadline,
  around: WorkContext | undefined,
): Promise<void> {
  const { pool } = server
  const holder: WorkContext = { held: 0, parent: around }
  const first = await server.acquire(deadline, holder)
  try {
    const second = pool.tryAcquire()
    // It does not wait for the pool, in which somebody may wait for the end of this very test.
    if (second === undefined)
      await server.runBeside('locks', (other) => compare(first.resource, other, deadline), deadline, true)
    else {
      try {
        await compare(first.resource, second.resource, deadline)
      } finally {
        server.release(second)
      }
    }
  } catch (error) {
    first.resource.terminate()
    throw error
  } finally {
    server.release(first)
  }
}

async function compare(first: Connection, second: Connection, deadline: Deadline): Promise<void> {
  const values = [String(randomBytes(8).readBigInt64BE(0))]
  const ask = async (connection: Connection, text: string, asked: string[]): Promise<Record<string, unknown>> => {
    const { rows } = await connection.run(new Statement({ text, values: asked }), deadline)
    return rows[0] ?? {}
  }
  const whoIs = async (connection: Connection): Promise<unknown> =>
    (await ask(connection, 'select pg_catalog.pg_backend_pid() as pid', []))['pid']
  // Before anything is locked: in a session that is not ours the lock would be left behind.
  const pid = await whoIs(first)
  for (let round = 0; round < rounds; round++) {
    // At the same moment, so that a pooler has to use two sessions, and confuses them.
    const [one, two] = await Promise.all([whoIs(first), whoIs(second)])
    if (one !== pid) throw new LockUnsupportedError('two statements of one connection ran in two sessions')
    if (two === pid) throw new LockUnsupportedError('two connections ran in the same session')
  }
  const taken = await ask(first, 'select pg_catalog.pg_try_advisory_lock($1::pg_catalog.int8) as got', values)
  if (taken['got'] !== true) throw new LockUnsupportedError('a lock that nobody holds was refused')
  const again = await ask(second, 'select pg_catalog.pg_try_advisory_lock($1::pg_catalog.int8) as got', values)
  if (again['got'] === true) {
    await ask(second, 'select pg_catalog.pg_advisory_unlock($1::pg_catalog.int8)', values)
    throw new LockUnsupportedError('two connections got the same exclusive lock')
  }
  const given = await ask(first, 'select pg_catalog.pg_advisory_unlock($1::pg_catalog.int8) as held', values)
  if (given['held'] !== true) throw new LockUnsupportedError('a lock was gone although its session was not')
}
