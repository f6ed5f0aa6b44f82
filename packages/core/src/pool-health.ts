import type { OperationOptions } from './base/limit.js'
import { operationLimit } from './errors/operation-limit.js'
import type { Host } from './host/host.js'
import { type HostHealth, healthOf } from './host/host-health.js'

/** How a pool is. */
export interface PoolHealth {
  /**
   * `up`: every server answers and every breaker is closed. `down`: no server answers. `degraded`: anything between.
   */
  readonly status: 'up' | 'degraded' | 'down'
  readonly hosts: readonly HostHealth[]
}

const defaultTimeoutMs = 2_000

/** Asks every host at once. */
export async function poolHealth(hosts: readonly Host[], options: OperationOptions = {}): Promise<PoolHealth> {
  const found = await Promise.all(
    hosts.map((host) => {
      const limit = operationLimit(
        { timeoutMs: defaultTimeoutMs, ...withoutUndefined(options) },
        host.environment.clock,
      )
      return healthOf(host, limit)
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
    ({ status, breaker }) => status === 'up' && (breaker === undefined || breaker.state === 'closed'),
  )
  return isWell ? 'up' : 'degraded'
}
