import type { Connection } from '../connection/connection.js'
import type { Clock } from '../deadline/clock.js'
import type { Server } from '../server/server.js'
import { type Candidate, OutlierEjection, PeakEwma } from './load-balancer.js'
import { Monitor } from './monitor.js'
import type { ServerStatus } from './probe.js'

/**
 * Half of a latency is forgotten after this time without a measurement. A server that was slower than the others by a factor
 * of fifty is asked again after three seconds.
 */
const latencyHalfLifeMs = 500

/** Where a server of the cluster is, and how to get there. */
export interface MemberOptions {
  /** `127.0.0.1:5432`, for people. */
  readonly address: string
  readonly open: (signal?: AbortSignal) => Promise<Connection>
  /** The pool of connections that reads go over while the server is a replica. */
  readonly reader: Server
  /** Its share of the reads in comparison with the other replicas. */
  readonly weight: number
}

/** What a member reports to its cluster. */
export interface MemberObserver {
  seen(member: ClusterMember, status: ServerStatus): void
  failed(member: ClusterMember, error: unknown): void
}

/** One server of a cluster, whatever its role is at present. */
export class ClusterMember implements Candidate {
  readonly address: string
  readonly weight: number
  readonly reader: Server
  readonly open: (signal?: AbortSignal) => Promise<Connection>
  readonly monitor: Monitor
  readonly ejection = new OutlierEjection()
  readonly #clock: Clock
  readonly #latency = new PeakEwma(latencyHalfLifeMs)
  /** What was seen of it last; undefined when the last probe failed, and before the first. */
  status: ServerStatus | undefined
  /** What the last probe failed with. */
  lastError: unknown
  inFlight = 0
  /** Statements that it has answered, those that failed included. */
  reads = 0

  constructor({ address, open, reader, weight }: MemberOptions, clock: Clock, observer: MemberObserver) {
    this.address = address
    this.open = open
    this.reader = reader
    this.weight = weight
    this.#clock = clock
    this.monitor = new Monitor(
      open,
      clock,
      (status) => {
        this.status = status
        this.lastError = undefined
        observer.seen(this, status)
      },
      (error) => {
        this.status = undefined
        this.lastError = error
        observer.failed(this, error)
      },
    )
  }

  /** Its latency as it stands now, in milliseconds. */
  get latencyMs(): number {
    return this.#latency.value(this.#clock.now())
  }

  get isEjected(): boolean {
    return this.ejection.isEjected(this.#clock.now())
  }

  /** A call was answered that began at this time. */
  answered(since: number): void {
    const now = this.#clock.now()
    this.#latency.observe(now - since, now)
    this.ejection.succeeded(now)
  }
}
