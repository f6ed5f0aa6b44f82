import type { Fault } from './fault.js'

/** The primary dies, its replica takes over, and the address of the pool leads to that. */
export const promote: Fault = {
  modes: ['plain', 'proveCommit', 'markerTable'],
  replicas: 1,
  reusable: false,
  holdsOnServer: false,
  async strike({ stage, hold }) {
    const [replica] = stage.cluster.replicas
    if (replica === undefined) throw new Error('bug: no replica to promote')
    // A commit of our own brings all of the log out: half a record at its end would not be replayed, only waited for.
    await stage.ask('insert into canary default values')
    await stage.cluster.waitForReplicas()
    await stage.primary.kill()
    await stage.proxy.cut()
    await stage.proxy.refuse()
    await hold.release()
    await replica.promote()
    await stage.follow(replica)
  },
}
