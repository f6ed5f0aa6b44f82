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
 * Whether a server answers, and what it is: asked on a connection that is free. Where none is, an answer to a statement of
 * the pool within the last second is enough; else it is asked on a connection beside the pool, as a full pool is no reason
 * to call its server dead. The breaker is not asked.
 *
 * @throws OperationAbortedError when the caller gave up; a server that does not answer is a finding, not an error
 */
export async function healthOf(server: Server, deadline: Deadline): Promise<ServerHealth> {
  const { clock } = server.environment
  const since = clock.now()
  const found = (address: string, role: ServerRole, status: ServerHealth['status']): ServerHealth => ({
    address,
    role,
    status,
    latencyMs: clock.now() - since,
    breaker: server.observer.breaker?.stats(),
    figures: server.pool.figures(),
  })
  try {
    const { address, role } = await ask(server, deadline)
    return found(address, role, 'up')
  } catch (error) {
    if (error instanceof OperationAbortedError) throw error
    const talking = lastAnswer(server)
    const answers = isForWantOfAPlace(error) || (talking !== undefined && talking.answeredAt >= since)
    const { address, role } =
      talking === undefined ? { address: server.address, role: server.observer.role } : seenOn(server, talking)
    return { ...found(address, role, answers ? 'degraded' : 'down'), error }
  }
}

const text = 'select pg_catalog.pg_is_in_recovery() as standby'

/** Which server answered, and what it is. */
interface Answer {
  readonly address: string
  readonly role: ServerRole
}

async function ask(server: Server, deadline: Deadline): Promise<Answer> {
  const slot = server.pool.tryAcquire()
  if (slot !== undefined) {
    try {
      return await askOn(slot.resource, deadline)
    } catch (error) {
      // The end of one session does not mean that the server is down.
      if (slot.resource.isAlive || classify(error) !== 'connection') throw error
    } finally {
      server.release(slot)
    }
  } else {
    const talking = lastAnswer(server)
    if (talking !== undefined && talking.answeredAt > server.environment.clock.now() - recentMs)
      return seenOn(server, talking)
  }
  return await server.runBeside('health', (connection) => askOn(connection, deadline), deadline)
}

/** The connection in use that has heard from the server last. */
function lastAnswer(server: Server): Connection | undefined {
  let last: Connection | undefined
  for (const { resource } of server.pool.busy()) {
    if (resource.isAlive && resource.answeredAt > (last?.answeredAt ?? Number.NEGATIVE_INFINITY)) last = resource
  }
  return last
}

/** What the server of a connection has reported of itself before. */
function seenOn(server: Server, { address, reports }: Connection): Answer {
  const { role } = reports
  return { address, role: role === 'unknown' ? server.observer.role : role === 'standby' ? 'replica' : 'primary' }
}

async function askOn(connection: Connection, deadline: Deadline): Promise<Answer> {
  const { rows } = await connection.run(signOfLife({ text }), deadline)
  const [row] = rows as { readonly standby: boolean }[]
  return { address: connection.address, role: row?.standby === true ? 'replica' : 'primary' }
}
