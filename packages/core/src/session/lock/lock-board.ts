import type { Clock } from '../../base/clock.js'
import { unlimited } from '../../base/limit.js'
import { sleep } from '../../base/sleep.js'
import type { Host } from '../../host/host.js'
import { Statement } from '../../wire/statement.js'
import type { LockWait } from './lock-waits.js'
import { postOf } from './remote-waits.js'

/** How long a board stays as it is before it may change again; taking something off is at once. */
const pauseMs = 250

/**
 * Shows other processes the waits inside this one, which the server does not know of: as the text of a statement that
 * does nothing, on a connection of its own. It is there only while somebody has waited for long while holding locks.
 */
export class LockBoard {
  readonly #host: Host
  readonly #clock: Clock
  readonly #shown = new Set<LockWait>()
  #change = new AbortController()
  #isUp = false

  constructor(host: Host) {
    this.#host = host
    this.#clock = host.environment.clock
  }

  add(wait: LockWait): void {
    if (this.#shown.has(wait)) return
    this.#shown.add(wait)
    this.#change.abort()
    if (!this.#isUp) void this.#show()
  }

  delete(wait: LockWait): void {
    if (this.#shown.delete(wait)) this.#change.abort()
  }

  async #show(): Promise<void> {
    this.#isUp = true
    while (this.#shown.size > 0) {
      try {
        await this.#host.aside(async (connection) => {
          while (this.#shown.size > 0) {
            this.#change = new AbortController()
            const text = `${postOf([...this.#shown])}select pg_sleep(60)`
            await connection
              .run(new Statement({ text }), { ...unlimited, signal: this.#change.signal })
              .catch((error) => {
                // Taken down, because something has changed.
                if (!this.#change.signal.aborted) throw error
              })
            await sleep(pauseMs, this.#clock, unlimited)
          }
        }, unlimited)
      } catch {
        // Without a connection nothing can be shown now; those who wait are bounded as before.
        await sleep(pauseMs, this.#clock, unlimited)
      }
    }
    this.#isUp = false
  }
}
