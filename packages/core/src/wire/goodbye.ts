import type pg from 'pg'
import type { Clock } from '../base/clock.js'
import { nextTick } from '../base/own-timers.js'
import type { WireConnection } from './pg-internals.js'

/** How long a goodbye may take. */
const closeBoundMs = 1_000

/** Ends a session in order. Settles when the server has closed its side; calls `late` and settles when it does not. */
export function sayGoodbye(client: pg.Client, wire: WireConnection, clock: Clock, late: () => void): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clock.clearTimer(timer)
      resolve()
    }
    const timer = clock.setTimer(closeBoundMs, () => {
      late()
      done()
    })
    // Not the client's own 'end', which comes with a `process.nextTick` that a test may have faked.
    wire.once('end', () => nextTick(done))
    void client.end()
  })
}

/** Leaves a goodbye for the server to read, and waits for nothing; the socket is closed by force when it does not. */
export function leave(connection: WireConnection, clock: Clock): void {
  const { stream } = connection
  const timer = clock.setTimer(closeBoundMs, () => stream.destroy(), true)
  stream.once('close', () => clock.clearTimer(timer))
  if (stream.destroyed) {
    clock.clearTimer(timer)
    return
  }
  connection.end()
  // What a slow reader has held up is read to its end and dropped: the end of the session comes behind it.
  stream.resume()
}

/** Settles when the socket is closed, or after a bound. */
export function closed(stream: WireConnection['stream'], clock: Clock): Promise<void> {
  if (stream.closed) return Promise.resolve()
  return new Promise((resolve) => {
    const done = (): void => {
      clock.clearTimer(timer)
      stream.off('close', done)
      resolve()
    }
    // Somebody waits for this, the end of a pool perhaps: the process lives until it is known.
    const timer = clock.setTimer(closeBoundMs, done)
    stream.once('close', done)
  })
}

/** Rejects when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const abort = (): void => reject(signal.reason)
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
  })
}
