import { stopAllClusters } from './running-clusters.js'

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

let handlers = 0

async function onSignal(signal: NodeJS.Signals): Promise<void> {
  // A second Ctrl-C ends the process at once; the keeper still cleans up after it.
  for (const each of signals) process.removeListener(each, onSignal)
  handlers = 0
  try {
    await stopAllClusters()
  } catch (error) {
    console.error(error)
  }
  // With the handler gone, the signal does what it does by default, and the shell sees why the process ended.
  process.kill(process.pid, signal)
}

/** Until the returned function is called, SIGINT, SIGTERM and SIGHUP stop all clusters before they end the process. */
export function handleSignals(): () => void {
  if (handlers++ === 0) for (const signal of signals) process.on(signal, onSignal)
  let active = true
  return () => {
    if (!active || handlers === 0) return
    active = false
    if (--handlers === 0) for (const signal of signals) process.removeListener(signal, onSignal)
  }
}
