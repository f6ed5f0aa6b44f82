import type { EventEmitter } from 'node:events'

/** Settles at the first of these events, and leaves no listener behind. */
export function once(emitter: EventEmitter, events: readonly string[]): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of events) emitter.removeListener(event, done)
      resolve()
    }
    for (const event of events) emitter.on(event, done)
  })
}
