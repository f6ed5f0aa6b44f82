import type { ClusterEvents } from '../cluster/events.js'
import type { SessionEvents } from '../transaction/environment.js'

/** The events of a pool, by name. */
export interface PoolEvents extends SessionEvents, ClusterEvents {}
