import { type Limit, limitReached, unlimited } from '../../base/limit.js'
import { jitter } from '../../base/random.js'
import { sleep } from '../../base/sleep.js'
import { givenUp } from '../../errors/given-up.js'
import { ConnectionLostError } from '../../errors/pool-errors.js'
import type { PoolEnvironment } from '../../pool/pool-environment.js'
import { quoteIdentifier } from '../../sql/quote-name.js'
import type { Connection } from '../../wire/connection.js'
import { onNotification } from '../../wire/notifications.js'
import { Statement } from '../../wire/statement.js'
import type { LockMode } from './held-lock.js'
import type { ServerKey } from './lock-key.js'
import { type SessionAnswer, tryLockSession } from './lock-sql.js'

/** How often who waits looks, give or take a quarter: a holder that dies wakes nobody. */
const lookMs = 1_000

/**
 * Waits for a session-level lock without standing in the server's queue: the session asks, idles, and asks again when
 * somebody gives the lock back, or after a second. A statement that waits in the queue holds a snapshot, and CREATE
 * INDEX CONCURRENTLY waits for all of them: https://www.postgresql.org/docs/18/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
 *
 * The token is undefined when the lock was not free in the time that was `left`.
 */
export async function waitIdle(
  connection: Connection,
  key: ServerKey,
  mode: LockMode,
  left: () => number,
  limit: Limit,
  { clock, random }: Pick<PoolEnvironment, 'clock' | 'random'>,
): Promise<SessionAnswer> {
  const first = await tryLockSession(connection, [key], mode)
  if (first.token !== undefined) return first
  const { idleBefore } = first
  const channel = channelOf(key)
  let wakeUp = new AbortController()
  const stopHearing = onNotification(connection, (message) => {
    if (message.channel === channel) wakeUp.abort()
  })
  const stopWatching = connection.onLost(() => wakeUp.abort())
  try {
    await connection.run(new Statement({ text: `listen ${quoteIdentifier(channel)}` }), limit)
    for (;;) {
      wakeUp = new AbortController()
      const { token } = await tryLockSession(connection, [key], mode)
      if (token !== undefined) return { token, idleBefore }
      const forMs = Math.min(left(), jitter(lookMs, 0.25, random))
      if (forMs <= 0) return { token: undefined, idleBefore }
      const signal = limit.signal === undefined ? wakeUp.signal : AbortSignal.any([wakeUp.signal, limit.signal])
      await sleep(forMs, clock, { ...limit, signal })
      const reached = limitReached(limit, clock)
      if (reached !== undefined) throw givenUp(reached, 'cancelled')
      if (!connection.isAlive) throw new ConnectionLostError(true, { cause: connection.lostWith })
    }
  } finally {
    stopHearing()
    stopWatching()
    // What was set for the wait does not stay for whoever has the connection next; nobody has to wait for it.
    connection
      .run(new Statement({ text: `unlisten ${quoteIdentifier(channel)}` }), unlimited)
      .catch(() => connection.destroy())
  }
}

/** Wakes those who wait idle for these keys, in all processes. */
export async function wake(connection: Connection, keys: readonly ServerKey[]): Promise<void> {
  const text = keys
    .map((_, index) => `pg_catalog.pg_notify($${index + 1}::pg_catalog.text, ''::pg_catalog.text)`)
    .join(', ')
  try {
    await connection.run(new Statement({ text: `select ${text}`, values: keys.map(channelOf) }), unlimited)
  } catch {
    // They look by themselves, a little later. What has become of the connection its session knows.
  }
}

function channelOf({ id }: ServerKey): string {
  return `lifeguard.lock.${id}`
}
