import type { Pool, PoolOptions } from '@pg-lifeguard/core'
import type { Cluster, FaultProxy, ServerSession } from '@pg-lifeguard/testing'
import type { Handle } from './subject.js'

/** One thing that every adapter must do. */
export interface Case {
  /** A sentence; the same as the name of the test. */
  readonly name: string
  run(context: CaseContext): Promise<void>
}

/** A pool with the ORM on it. */
export interface Opened {
  readonly pool: Pool
  readonly handle: Handle
}

/** What a case has to work with. The tables are empty when it begins; everything is closed and counted after it. */
export interface CaseContext extends Opened {
  /** Where the tables are. */
  readonly database: Database
  /** A pool of the runner's own: what is read and done through it is nothing that the case could be blamed for. */
  readonly admin: Pool
  /** Another pool of four connections, or what `options` says, with the ORM on it. */
  openPool(options?: PoolOptions): Promise<Opened>
  /** A proxy in front of the database, gone after the case. */
  openProxy(): Promise<FaultProxy>
  /** A database with the same tables on a primary with one replica. */
  openCluster(): Promise<ReplicatedDatabase>
  /** What all pools of this case have open on the server. */
  sessions(): Promise<readonly ServerSession[]>
  /** Ends a session as an administrator would. */
  kill(pid: number): Promise<void>
}

/** Where a database is, for clients. */
export interface Database {
  readonly url: string
}

/** A database that one other server follows. */
export interface ReplicatedDatabase extends Database {
  readonly replicaUrl: string
  readonly cluster: Cluster
}
