import type { Connection } from '../connection/connection.js'
import { signOfLife } from '../connection/statement.js'
import type { Deadline } from '../deadline/deadline.js'
import { classify, isForWantOfAPlace } from '../errors/classify.js'
import { OperationAbortedError } from '../errors/operation-errors.js'
import type { PoolFigures } from '../errors/pool-errors.js'
import type { BreakerStats } from '../resilience/server-breaker.js'
import type { ServerRole } from './events.js'
import type { Server } from './server.js'

/** How one server is. */
export interface ServerHealth {
  /** `127.0.0.1:5432`, or the path of a Unix socket. */
  readonly address: string
  /**
   * What the server said it is; what it was taken for, when it said nothing. `replaced`: it takes itself for the primary,
   * and another one has taken its place. `foreign`: its database system is another one than the primary's.
   */
  readonly role: ServerRole | 'replaced' | 'foreign'
  /**
   * `degraded`: it answers, but not this question: it has no place for one more session (SQLSTATE 53300), or is too busy to
   * answer it in time while it answers this pool's statements.
   */
  readonly status: 'up' | 'degraded' | 'down'
  /**
   * From the question to the answer, in milliseconds, connecting included where that was needed; next to nothing where the
   * answer was known, as the server had answered a statement within the last second.
   */
  readonly latencyMs: number
  /** Why it is down or degraded. */
  readonly error?: unknown
  /** Its circuit breaker; undefined when there is none. */
  readonly breaker: BreakerStats | undefined
  /** How full its pool is. */
  readonly figures: PoolFigures
}

/** An answer that is not older shows that the server is up, in milliseconds. */
const recentMs = 1_000

/**
 * Whether a server is there and what it is: asked on a connection that is free. Where none is, what the pool's statements
 * have heard within the last second is answer enough; else it is asked on a connection beside the pool, as a full pool is
 * no reason to call its server dead. The breaker is not asked.
 *
 * @throws OperationAbortedError when the caller gave up; a server that does not answer is a finding, not an error
 */
export async function healthOf(server: Server, deadline: Deadline): Promise<ServerHealth> {
  const { clock } = server.environment
  const since = clock.now()
  const found = (where: string, role: ServerRole, status: ServerHealth['status']): ServerHealth => ({
    address: where,
    role,
    status,
    latencyMs: clock.now() - since,
    breaker: server.watch.breaker?.stats(),
    figures: server.pool.figures(),
  })
  try {
    const { where, role } = await ask(server, deadline)
    return found(where, role, 'up')
  } catch (error) {
    if (error instanceof OperationAbortedError) throw error
    const talking = lastAnswer(server)
    const answers = isForWantOfAPlace(error) || (talking !== undefined && talking.answeredAt >= since)
    const { where, role } =
      talking === undefined ? { where: server.address, role: server.watch.role } : seenOn(server, talking)
    return { ...found(where, role, answers ? 'degraded' : 'down'), error }
  }
}

const text = 'select pg_catalog.pg_is_in_recovery() as standby'

/** Which server answered, and what it is. */
interface Answer {
  readonly where: string
  readonly role: ServerRole
}

async function ask(server: Server, deadline: Deadline): Promise<Answer> {
  const slot = server.pool.tryAcquire()
  if (slot !== undefined) {
    try {
      return await askOn(slot.resource, deadline)
    } catch (error) {
      // The end of one session says nothing of the server.
      if (slot.resource.isAlive || classify(error) !== 'connection') throw error
    } finally {
      server.release(slot)
    }
  } else {
    const talking = lastAnswer(server)
    if (talking !== undefined && talking.answeredAt > server.environment.clock.now() - recentMs)
      return seenOn(server, talking)
  }
  return await server.aside('health', (connection) => askOn(connection, deadline), deadline)
}

/** The connection in use that has heard from the server last. */
function lastAnswer(server: Server): Connection | undefined {
  let last: Connection | undefined
  for (const { resource } of server.pool.busy()) {
    if (resource.isAlive && resource.answeredAt > (last?.answeredAt ?? Number.NEGATIVE_INFINITY)) last = resource
  }
  return last
}

/** What a server has said of itself by the way. */
function seenOn(server: Server, { address: where, reports }: Connection): Answer {
  const { role } = reports
  return { where, role: role === 'unknown' ? server.watch.role : role === 'standby' ? 'replica' : 'primary' }
}

async function askOn(connection: Connection, deadline: Deadline): Promise<Answer> {
  const { rows } = await connection.run(signOfLife({ text }), deadline)
  const [row] = rows as { readonly standby: boolean }[]
  return { where: connection.address, role: row?.standby === true ? 'replica' : 'primary' }
}
