import type { Connection } from '../connection/connection.js'
import type { Deadline } from '../deadline/deadline.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import { OperationTimeoutError } from '../errors/operation-errors.js'
import { markMisconfigured } from '../errors/origin.js'

/** Prepares a new connection for its users, within this deadline; when it throws, the connection is not used. */
export type PrepareConnection = (connection: Connection, deadline: Deadline) => Promise<void>

/** What the preparation of a connection has thrown, where the server was well. */
const refusals = new WeakSet<object>()

/** Whether this error is about one connection alone, so that the next one may be fine. */
export function isRefusal(error: unknown): boolean {
  return typeof error === 'object' && error !== null && refusals.has(error)
}

/**
 * Lets a new connection be prepared. When that fails, the session is over before this settles: its place may be taken then.
 *
 * @throws what the preparation threw, in an Error if it is none
 */
export async function prepareNew(
  connection: Connection,
  prepare: PrepareConnection,
  deadline: Deadline,
): Promise<void> {
  try {
    await deadline.within(prepare(connection, deadline))
    if (connection.isAlive) assertUsable(connection)
    else throw connection.lostWith ?? new Error('onConnect has closed the connection')
  } catch (thrown) {
    const error = asError(thrown, deadline)
    // One that was lost is like one that could not be opened.
    if (connection.isAlive && deadline.signal?.aborted !== true) {
      refusals.add(error)
      // It is not about the server.
      markMisconfigured(error)
    }
    if (connection.isAlive && connection.isQuiet) await connection.close()
    else {
      connection.terminate()
      await connection.whenClosed()
    }
    throw error
  }
}

function assertUsable(connection: Connection): void {
  const left =
    connection.status !== 'I'
      ? 'in a transaction'
      : connection.styles.isUtf8
        ? undefined
        : 'in a client_encoding other than UTF8'
  if (left === undefined) return
  throw new InvalidArgumentError(
    'onConnect',
    `a function that has left the connection ${left}`,
    'one that ends what it begins',
  )
}

function asError(thrown: unknown, { timeoutMs }: Deadline): object {
  if (thrown instanceof OperationTimeoutError && thrown.outcome === 'not-sent' && thrown.cause === undefined) {
    const cause = new Error('onConnect has not settled within connectTimeoutMs', { cause: thrown })
    return new OperationTimeoutError(timeoutMs, 'not-sent', { cause })
  }
  if (typeof thrown === 'object' && thrown !== null) return thrown
  return new Error(`onConnect has thrown ${String(thrown)}`, { cause: thrown })
}
