import type { Clock } from '../../base/clock.js'
import { unlimited } from '../../base/limit.js'
import { sleep } from '../../base/sleep.js'
import { ConnectionLostError } from '../../errors/pool-errors.js'
import type { Host } from '../../host/host.js'
import { Statement } from '../../wire/statement.js'
import { staysIdleSql } from './lock-sql.js'
import type { LockWait } from './lock-waits.js'
import { postOf } from './remote-waits.js'

/** Between two attempts to have a connection for it. */
const pauseMs = 250

/**
 * Shows other processes the waits inside this one, which the server does not know of: as the text of the last
 * statement, which does nothing, of a connection of its own. That idles then, and holds no snapshot: CREATE INDEX
 * CONCURRENTLY would wait for it. It is there only while somebody has waited for long while holding locks.
 */
export class LockBoard {
  readonly #host: Host
  readonly #clock: Clock
  readonly #shown = new Set<LockWait>()
  #change = Promise.withResolvers<void>()
  #isUp = false

  constructor(host: Host) {
    this.#host = host
    this.#clock = host.environment.clock
  }

  add(wait: LockWait): void {
    if (this.#shown.has(wait)) return
    this.#shown.add(wait)
    this.#change.resolve()
    if (!this.#isUp) void this.#show()
  }

  delete(wait: LockWait): void {
    if (this.#shown.delete(wait)) this.#change.resolve()
  }

  async #show(): Promise<void> {
    this.#isUp = true
    while (this.#shown.size > 0) {
      try {
        await this.#host.aside(
          'locks',
          async (connection) => {
            // No race of promises: each one would leave something on a promise that lives as long as the session.
            connection.onLost(() => this.#change.resolve())
            await connection.run(new Statement({ text: staysIdleSql }), unlimited)
            while (this.#shown.size > 0) {
              this.#change = Promise.withResolvers<void>()
              await connection.run(new Statement({ text: postOf([...this.#shown]) }), unlimited)
              if (connection.isAlive) await this.#change.promise
              if (!connection.isAlive) throw new ConnectionLostError(true, { cause: connection.lostWith })
            }
          },
          unlimited,
        )
      } catch {
        // Without a connection nothing can be shown now; those who wait are bounded as before.
        await sleep(pauseMs, this.#clock, unlimited)
      }
    }
    this.#isUp = false
  }
}
