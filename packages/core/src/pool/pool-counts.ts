/** How often each thing has happened since the pool was made. */
export interface PoolCounts {
  /** Connections that were opened. */
  opened: number
  /** Connections that were closed, for whatever reason. */
  closed: number
  /** Attempts to connect that failed. */
  connectFailed: number
  /** Connections handed to a caller. */
  acquired: number
  /** Connections given back. */
  released: number
  /** Callers that got none in time. */
  timedOut: number
  /** Callers that gave up by their signal. */
  aborted: number
  /** Callers turned away because the queue was full. */
  turnedAway: number
  /** Callers turned away from the queue because the pool was overloaded. */
  shed: number
  /** Connections that failed their validation. */
  failedValidation: number
  /** Connections held for longer than `leakDetectionMs`. */
  leaks: number
}

/** All zero. */
export function newPoolCounts(): PoolCounts {
  return {
    opened: 0,
    closed: 0,
    connectFailed: 0,
    acquired: 0,
    released: 0,
    timedOut: 0,
    aborted: 0,
    turnedAway: 0,
    shed: 0,
    failedValidation: 0,
    leaks: 0,
  }
}
