import type { Fault } from './fault.js'

/** The server is stopped without a chance to write anything down, and started again. */
export const restart: Fault = {
  modes: ['plain', 'proveCommit', 'markerTable'],
  replicas: 0,
  reusable: true,
  holdsOnServer: false,
  async strike({ stage, hold }) {
    await stage.primary.stop({ mode: 'immediate' })
    await stage.proxy.cut()
    await hold.release()
    await stage.primary.start()
  },
}
