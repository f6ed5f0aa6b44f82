import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

/** What the timer and its thread share. */
export interface PreciseTimerMemory {
  /** Counts up with each change of the deadline; the thread waits on it. */
  readonly generation: Int32Array
  /** Nanoseconds of process.hrtime.bigint(), which all threads share; 0 for none. */
  readonly deadline: BigInt64Array
}

/** Waking a thread and then this one takes about this long; it is spent turning the event loop instead. */
const wakeAheadMs = 0.15

/**
 * Calls back at points in time with an accuracy of about a tenth of a millisecond and never early. A thread sleeps for
 * it: setTimeout would be up to a millisecond late, which is as much as the delays asked for, and spinning all the
 * way would take a core from the process that is measured.
 */
export class PreciseTimer {
  readonly #memory: PreciseTimerMemory
  readonly #calls = new Map<() => void, number>()
  #armedFor = Infinity
  #turning = false

  private constructor(memory: PreciseTimerMemory, thread: Worker) {
    this.#memory = memory
    thread.on('message', this.#ring)
  }

  /** Resolves when the thread runs. */
  static async start(): Promise<PreciseTimer> {
    const memory: PreciseTimerMemory = {
      generation: new Int32Array(new SharedArrayBuffer(4)),
      deadline: new BigInt64Array(new SharedArrayBuffer(8)),
    }
    const thread = new Worker(new URL('./precise-timer-thread.js', import.meta.url), { workerData: memory })
    await once(thread, 'online')
    return new PreciseTimer(memory, thread)
  }

  /** Calls `callback` once at `dueAt` (performance.now() milliseconds). The same callback has one time: the last said. */
  callAt(dueAt: number, callback: () => void): void {
    this.#calls.set(callback, dueAt)
    if (dueAt < this.#armedFor) this.#arm(dueAt)
  }

  readonly #ring = (): void => {
    this.#armedFor = Infinity
    const now = performance.now()
    for (const [callback, dueAt] of this.#calls) {
      if (dueAt > now) continue
      this.#calls.delete(callback)
      callback()
    }
    let next = Infinity
    for (const dueAt of this.#calls.values()) if (dueAt < next) next = dueAt
    if (next - performance.now() < wakeAheadMs) {
      this.#armedFor = next
      this.#turn()
    } else if (next < this.#armedFor) {
      this.#arm(next)
    }
  }

  #turn(): void {
    if (this.#turning) return
    this.#turning = true
    setImmediate(() => {
      this.#turning = false
      this.#ring()
    })
  }

  #arm(dueAt: number): void {
    this.#armedFor = dueAt
    const inNs = BigInt(Math.max(0, Math.ceil((dueAt - wakeAheadMs - performance.now()) * 1e6)))
    Atomics.store(this.#memory.deadline, 0, process.hrtime.bigint() + inNs)
    Atomics.add(this.#memory.generation, 0, 1)
    Atomics.notify(this.#memory.generation, 0)
  }
}
