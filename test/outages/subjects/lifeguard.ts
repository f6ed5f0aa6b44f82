import { ConnectionLostError, createPool, LifeguardError } from '@pg-lifeguard/core'
import type { Subject } from '../subject.js'

/** Codes of errors that are there before anything is sent. */
const unsent: ReadonlySet<string> = new Set([
  'LIFEGUARD_ACQUIRE_TIMEOUT',
  'LIFEGUARD_SERVER_UNAVAILABLE',
  'LIFEGUARD_QUEUE_FULL',
  'LIFEGUARD_OVERLOADED',
  'LIFEGUARD_BREAKER_OPEN',
])

/** `createPool` with its defaults; `timeoutMs` at each call. No listener for errors anywhere. */
export const lifeguard: Subject = {
  name: 'lifeguard',
  open(url, { max, timeoutMs }) {
    const pool = createPool({ connectionString: url, max, applicationName: 'outages' })
    const limit = { timeoutMs }
    return {
      query: (text) => pool.query(text, [], limit),
      async checkOut() {
        const connection = await pool.acquire(limit)
        return {
          pid: connection.pid,
          query: (text) => connection.query(text, [], limit),
          release: () => connection.release(),
        }
      },
      end: () => pool.end(),
    }
  },
  nameOf: (error) => nameOf(error),
  saysUnsent(error) {
    if (!LifeguardError.isInstance(error)) return false
    if (error instanceof ConnectionLostError) return !error.sent
    return unsent.has(error.code) || ('outcome' in error && error.outcome === 'not-sent')
  },
}

function nameOf(error: unknown): string {
  if (LifeguardError.isInstance(error)) {
    return 'outcome' in error && typeof error.outcome === 'string' ? `${error.code} (${error.outcome})` : error.code
  }
  return error instanceof Error && 'code' in error ? String(error.code) : String(error)
}
