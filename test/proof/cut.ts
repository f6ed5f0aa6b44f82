import { type Fault, releaseProven } from './fault.js'

/** Every connection is reset, on both sides. */
export const cut: Fault = {
  modes: ['plain', 'proveCommit'],
  replicas: 0,
  reusable: true,
  holdsOnServer: false,
  async strike(scene) {
    const proving = await scene.stage.backends(['proveCommit'])
    await scene.stage.proxy.cut()
    await releaseProven(scene, proving)
  },
}
