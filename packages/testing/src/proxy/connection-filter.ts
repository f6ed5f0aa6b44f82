import { invalidOption } from './fault-proxy-error.js'

/** What a connection said about itself in its startup packet; empty while it has said nothing that can be seen. */
export interface ConnectionIdentity {
  /** Counts up from 1 in the order of arrival, over the life of the proxy. */
  readonly id: number
  /** `application_name` of the startup packet (a later SET is not followed). */
  readonly applicationName: string | undefined
  readonly user: string | undefined
  readonly database: string | undefined
}

/**
 * Which connections: all, one by id, several by id, or those whose startup packet says all that is given.
 * A connection that has not said anything yet, or that is encrypted, is matched only by `'all'` and by its id.
 *
 * @example
 * ```ts
 * import type { ConnectionFilter } from '@pg-lifeguard/testing'
 *
 * const workers: ConnectionFilter = { applicationName: 'worker' }
 * ```
 */
export type ConnectionFilter =
  | 'all'
  | number
  | readonly number[]
  | { readonly applicationName?: string; readonly user?: string; readonly database?: string }

const keys = ['applicationName', 'user', 'database'] as const

/** True when the filter, 'all' where it is undefined, holds for the connection. */
export function matchesConnection(filter: ConnectionFilter | undefined, connection: ConnectionIdentity): boolean {
  if (filter === undefined || filter === 'all') return true
  if (typeof filter === 'number') return filter === connection.id
  if (isIdList(filter)) return filter.includes(connection.id)
  return keys.every((key) => filter[key] === undefined || filter[key] === connection[key])
}

/** Throws FAULT_PROXY_INVALID_OPTION for what is no filter. */
export function checkConnectionFilter(option: string, filter: ConnectionFilter | undefined): void {
  if (filter === undefined || filter === 'all') return
  if (typeof filter === 'number' || Array.isArray(filter)) {
    if ([filter].flat().every((id) => Number.isInteger(id))) return
  } else if (typeof filter === 'object' && filter !== null) {
    const given = Object.keys(filter)
    if (given.length > 0 && given.every((key) => keys.some((known) => known === key))) return
  }
  throw invalidOption(
    option,
    JSON.stringify(filter),
    `'all', a connection id, a list of ids, or { ${keys.join('?, ')}? }`,
  )
}

function isIdList(filter: ConnectionFilter): filter is readonly number[] {
  return Array.isArray(filter)
}
