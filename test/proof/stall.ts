import { type Fault, releaseProven } from './fault.js'

/** Not a byte passes on any connection that is open, and nothing is closed: the deadline of the caller ends it. */
export const stall: Fault = {
  modes: ['plain', 'proveCommit'],
  replicas: 0,
  reusable: true,
  holdsOnServer: false,
  timeoutMs: 1_500,
  async strike(scene) {
    const { stage, moment, hold, answered } = scene
    const proving = await stage.backends(['proveCommit'])
    const open = await stage.proxy.connections()
    await stage.proxy.stall({ connections: open.map(({ id }) => id) })
    // Behind the gate a statement runs into the stall; anything else stands in it already.
    if (moment === 'mid-transaction') await hold.release()
    await answered
    await releaseProven(scene, proving)
    await stage.proxy.resume()
  },
}
