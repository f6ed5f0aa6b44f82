import type { AcquiredReader, Cluster } from '../cluster/cluster.js'
import type { ClusterMember } from '../cluster/member.js'
import type { ReadContext } from '../cluster/router.js'
import type { RoutingContext } from '../cluster/servers.js'
import type { Deadline } from '../deadline/deadline.js'
import type { WorkContext } from '../resource-pool/wait-queue.js'
import type { ConnectionSlot, Server } from '../server/server.js'

/** Where a transaction gets its connection from, and what becomes of it after. */
export interface ConnectionSource {
  /** The pool that it belongs to, by its environment. */
  readonly owner: object | undefined
  /** Whether another one can be had when this one is lost. */
  readonly isRenewable: boolean
  acquire(deadline: Deadline): ConnectionSlot | Promise<ConnectionSlot>
  release(slot: ConnectionSlot): void
  /** Whether the statement may be run on what `acquire` gave, as far as its text shows. Without it: always. */
  admits?(text: string): boolean
  /** A server refused the transaction for what it is: whether the next `acquire` leads to another one. Without it: no. */
  elsewhere?(): Promise<boolean>
}

/** A connection out of the pool, which goes back to it; counted as held by the line of work that asks. */
export function fromPool(server: Server, holder: WorkContext, cluster?: Cluster): ConnectionSource {
  let writer: ClusterMember | undefined
  return {
    owner: server.environment,
    isRenewable: true,
    async acquire(deadline) {
      const slot = await server.acquire(deadline, holder)
      writer = cluster?.writer
      cluster?.keepInSight()
      holder.held += 1
      return slot
    },
    async elsewhere() {
      return cluster !== undefined && (await cluster.foundAnother(writer))
    },
    release(slot) {
      holder.held -= 1
      server.release(slot)
    },
  }
}

/** A connection for work that only reads. */
export interface ReadSource extends ConnectionSource {
  /** That work has failed before it gave anything: whether the next `acquire` leads to where it may be done again. */
  again(error: unknown): boolean
}

/**
 * Where a line of work reads from, if it asked for replicas and they may be asked.
 *
 * @param text the one statement that the connection is for; it has to be allowed on a replica
 */
export function sourceOfReads(
  cluster: Cluster | undefined,
  server: Server,
  { reading, causality, isUnderLock }: RoutingContext,
  holder: WorkContext,
  text?: string,
): ReadSource | undefined {
  if (cluster === undefined || reading === undefined || isUnderLock) return undefined
  return fromReplicas(cluster, server, holder, { scope: reading, causality }, text)
}

/**
 * A connection to a replica, for a transaction that only reads; to the primary when no replica will do, or when the
 * transaction has met a statement that is not known to be a mere read.
 */
function fromReplicas(
  cluster: Cluster,
  server: Server,
  holder: WorkContext,
  context: ReadContext,
  text: string | undefined,
): ReadSource {
  const excluded = new Set<ClusterMember>()
  const primary = fromPool(server, holder, cluster)
  let taken: AcquiredReader | undefined
  let belongsToPrimary = false
  return {
    owner: server.environment,
    isRenewable: true,
    async acquire(deadline) {
      taken = belongsToPrimary ? undefined : await cluster.acquireReader(context, excluded, deadline, holder, text)
      belongsToPrimary = taken === undefined
      if (taken === undefined) return await primary.acquire(deadline)
      // Should this attempt fail, the next one goes elsewhere.
      excluded.add(taken.member)
      holder.held += 1
      return taken.slot
    },
    release(slot) {
      if (taken === undefined) {
        primary.release(slot)
        return
      }
      holder.held -= 1
      cluster.releaseReader(taken)
    },
    admits: (text) => belongsToPrimary || cluster.allows(text),
    async elsewhere() {
      if (belongsToPrimary) return (await primary.elsewhere?.()) === true
      belongsToPrimary = true
      return true
    },
    again: (error) => taken !== undefined && text !== undefined && cluster.readAgain(taken, text, error),
  }
}

/** A connection that somebody holds already, and goes on holding. */
export function onHeld(slot: ConnectionSlot): ConnectionSource {
  return { owner: slot.resource.belongsTo, isRenewable: false, acquire: () => slot, release: () => undefined }
}
