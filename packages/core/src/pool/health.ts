import { Deadline, type OperationOptions } from '../deadline/deadline.js'
import { assertKnownOptions, operationNames } from '../errors/known-options.js'
import { healthOf, type ServerHealth } from '../server/health.js'
import type { SessionEnvironment } from '../transaction/environment.js'
import { serversOf } from './stats.js'

/** How a pool is. */
export interface PoolHealth {
  /**
   * `up`: every server answers, every breaker is closed, and none is `replaced` or `foreign`. `down`: no server answers. `degraded`: anything between, such as a server that has no place for one more session.
   */
  readonly status: 'up' | 'degraded' | 'down'
  readonly servers: readonly ServerHealth[]
}

const defaultTimeoutMs = 2_000

/** Asks every server at once; the cluster knows what each is beside the others, which it cannot say itself. */
export async function poolHealth(environment: SessionEnvironment, options: OperationOptions = {}): Promise<PoolHealth> {
  assertKnownOptions(options, operationNames)
  const found = await Promise.all(
    serversOf(environment).map(async (server): Promise<ServerHealth> => {
      const deadline = Deadline.of(
        { timeoutMs: defaultTimeoutMs, ...withoutUndefined(options) },
        server.environment.clock,
      )
      const health = await healthOf(server, deadline)
      const role = environment.cluster?.roleOf(server)
      return role === 'replaced' || role === 'foreign' ? { ...health, role } : health
    }),
  )
  return { status: statusOf(found), servers: found }
}

function withoutUndefined({ signal, timeoutMs }: OperationOptions): OperationOptions {
  return { ...(signal === undefined ? {} : { signal }), ...(timeoutMs === undefined ? {} : { timeoutMs }) }
}

function statusOf(servers: readonly ServerHealth[]): PoolHealth['status'] {
  if (servers.every(({ status }) => status === 'down')) return 'down'
  const isWell = servers.every(
    ({ status, role, breaker }) =>
      status === 'up' &&
      (role === 'primary' || role === 'replica') &&
      (breaker === undefined || breaker.state === 'closed'),
  )
  return isWell ? 'up' : 'degraded'
}
