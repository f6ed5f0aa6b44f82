import { parentPort, workerData } from 'node:worker_threads'
import type { PreciseTimerMemory } from './precise-timer.js'

// The thread sleeps until the deadline in shared memory and then rings once. Atomics.wait sleeps with microsecond
// resolution; Node's own timers round to a millisecond and spinning would take a whole core from the measured process.
const port = parentPort
if (port === null) throw new Error('bug: precise-timer-thread is only for a worker thread')
const { generation, deadline }: PreciseTimerMemory = workerData

for (;;) {
  const seen = Atomics.load(generation, 0)
  const wanted = Atomics.load(deadline, 0)
  if (wanted === 0n) {
    Atomics.wait(generation, 0, seen)
    continue
  }
  const remainingMs = Number(wanted - process.hrtime.bigint()) / 1e6
  if (remainingMs > 0) Atomics.wait(generation, 0, seen, remainingMs)
  else if (Atomics.compareExchange(deadline, 0, wanted, 0n) === wanted) port.postMessage(null)
}
