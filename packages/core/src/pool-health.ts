import type { OperationOptions } from './base/limit.js'
import { operationLimit } from './errors/operation-limit.js'
import type { Host } from './host/host.js'
import { type HostHealth, healthOf } from './host/host-health.js'

/** How a pool is. */
export interface PoolHealth {
  /**
   * `up`: every server answers, every breaker is closed, and none takes itself for the primary that another one has
   * replaced. `down`: no server answers. `degraded`: anything between.
   */
  readonly status: 'up' | 'degraded' | 'down'
  readonly hosts: readonly HostHealth[]
}

const defaultTimeoutMs = 2_000

/** Asks every host at once; `isReplaced` knows of each what the others have become meanwhile. */
export async function poolHealth(
  hosts: readonly Host[],
  isReplaced: (host: Host) => boolean,
  options: OperationOptions = {},
): Promise<PoolHealth> {
  const found = await Promise.all(
    hosts.map(async (host): Promise<HostHealth> => {
      const limit = operationLimit(
        { timeoutMs: defaultTimeoutMs, ...withoutUndefined(options) },
        host.environment.clock,
      )
      const health = await healthOf(host, limit)
      return health.role === 'primary' && isReplaced(host) ? { ...health, role: 'replaced' } : health
    }),
  )
  return { status: statusOf(found), hosts: found }
}

function withoutUndefined({ signal, timeoutMs }: OperationOptions): OperationOptions {
  return { ...(signal === undefined ? {} : { signal }), ...(timeoutMs === undefined ? {} : { timeoutMs }) }
}

function statusOf(hosts: readonly HostHealth[]): PoolHealth['status'] {
  if (hosts.every(({ status }) => status === 'down')) return 'down'
  const isWell = hosts.every(
    ({ status, role, breaker }) =>
      status === 'up' && role !== 'replaced' && (breaker === undefined || breaker.state === 'closed'),
  )
  return isWell ? 'up' : 'degraded'
}
