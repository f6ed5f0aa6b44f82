import type { Limit } from '../base/limit.js'
import { OperationAbortedError } from '../errors/operation-errors.js'
import type { PoolFigures } from '../errors/pool-errors.js'
import type { Connection } from '../wire/connection.js'
import { Statement } from '../wire/statement.js'
import type { Host } from './host.js'
import type { BreakerStats } from './host-breaker.js'
import type { HostRole } from './host-events.js'

/** How one server is. */
export interface HostHealth {
  /** `127.0.0.1:5432`, or the path of a Unix socket. */
  readonly where: string
  /**
   * What the server said it is; what it was taken for, when it said nothing. `replaced`: it takes itself for the primary,
   * and another one has taken its place. `foreign`: its database system is another one than the primary's.
   */
  readonly role: HostRole | 'replaced' | 'foreign'
  readonly status: 'up' | 'down'
  /** From the question to the answer, in milliseconds, connecting included where that was needed. */
  readonly latencyMs: number
  /** Why it is down. */
  readonly error?: unknown
  /** Its circuit breaker; undefined when there is none. */
  readonly breaker: BreakerStats | undefined
  /** How full its pool is. */
  readonly figures: PoolFigures
}

/**
 * Asks a server whether it is there and what it is: on a connection that is free, else on one beside the pool, as a full
 * pool is no reason to call its server dead. The breaker is not asked.
 *
 * @throws OperationAbortedError when the caller gave up; a server that does not answer is a finding, not an error
 */
export async function healthOf(host: Host, limit: Limit): Promise<HostHealth> {
  const { clock } = host.environment
  const since = clock.now()
  const found = (where: string, role: HostRole, status: 'up' | 'down'): HostHealth => ({
    where,
    role,
    status,
    latencyMs: clock.now() - since,
    breaker: host.watch.breaker?.stats(),
    figures: host.pool.figures(),
  })
  try {
    const { where, role } = await ask(host, limit)
    return found(where, role, 'up')
  } catch (error) {
    if (error instanceof OperationAbortedError) throw error
    return { ...found(host.where, host.watch.role, 'down'), error }
  }
}

const text = 'select pg_catalog.pg_is_in_recovery() as standby'

/** Which server answered, and what it is. */
interface Answer {
  readonly where: string
  readonly role: HostRole
}

async function ask(host: Host, limit: Limit): Promise<Answer> {
  const slot = host.pool.tryAcquire()
  if (slot === undefined) return await host.aside((connection) => askOn(connection, limit), limit)
  try {
    return await askOn(slot.resource, limit)
  } finally {
    host.release(slot)
  }
}

async function askOn(connection: Connection, limit: Limit): Promise<Answer> {
  const { rows } = await connection.run(new Statement({ text }), limit)
  const [row] = rows as { readonly standby: boolean }[]
  return { where: connection.where, role: row?.standby === true ? 'replica' : 'primary' }
}
