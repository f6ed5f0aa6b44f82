import type { Limit } from '../base/limit.js'
import type { ConnectionSlot, Host } from '../host/host.js'
import type { Holder } from '../pool/waiter.js'

/** Where a transaction gets its connection from, and what becomes of it after. */
export interface ConnectionSource {
  /** Whether another one can be had when this one is lost. */
  readonly isRenewable: boolean
  take(limit: Limit): ConnectionSlot | Promise<ConnectionSlot>
  giveBack(slot: ConnectionSlot): void
}

/** A connection out of the pool, which goes back to it; counted as held by the line of work that asks. */
export function fromPool(host: Host, holder: Holder): ConnectionSource {
  return {
    isRenewable: true,
    async take(limit) {
      const slot = host.tryTake(holder) ?? (await host.take(limit, holder))
      holder.held += 1
      return slot
    },
    giveBack(slot) {
      holder.held -= 1
      host.release(slot)
    },
  }
}

/** A connection that somebody holds already, and goes on holding. */
export function onHeld(slot: ConnectionSlot): ConnectionSource {
  return { isRenewable: false, take: () => slot, giveBack: () => undefined }
}
