import type { ClusterEvents } from './cluster/cluster-events.js'
import type { SessionEvents } from './session/session-events.js'

/** The events of a pool, by name. */
export interface PoolEvents extends SessionEvents, ClusterEvents {}
