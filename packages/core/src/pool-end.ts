import { InvalidOptionError } from './errors/invalid-option-error.js'
import { assertKnownOptions, optionNames } from './errors/known-options.js'
import { operationLimit } from './errors/operation-limit.js'
import type { Listeners } from './session/listen/listeners.js'
import type { LockEnvironment } from './session/lock/with-lock.js'

/**
 * How a pool is ended.
 *
 * - `'gracefully'`: what was begun or waits is finished, for `timeoutMs` at most; then as `'fast'`.
 * - `'fast'`: whoever waits is rejected, and every connection is torn down: what runs on it is cancelled.
 *
 * Either way `end` settles: tearing down takes a second at most where the server does not answer.
 */
export type EndOptions =
  | {
      /** @default 'gracefully' */
      readonly mode?: 'gracefully' | undefined
      /**
       * How long to wait for connections that are in use, in milliseconds; then they are torn down, and who still waits
       * is rejected. `0` does not wait at all.
       *
       * @default 10000
       */
      readonly timeoutMs?: number | undefined
    }
  | { readonly mode: 'fast'; readonly timeoutMs?: never }

/** How long `end` waits where nobody says how long. */
const defaultEndMs = 10_000
const names = optionNames<EndOptions>({ mode: true, timeoutMs: true })

/** The body of `pool.end`. */
export async function endPool(
  environment: LockEnvironment,
  listeners: Listeners,
  options: EndOptions = {},
): Promise<void> {
  assertKnownOptions(options, names)
  const { mode = 'gracefully', timeoutMs = defaultEndMs } = options
  if (mode !== 'gracefully' && mode !== 'fast') {
    throw new InvalidOptionError('mode', String(mode), 'gracefully, fast')
  }
  const { cluster, host } = environment
  const { clock } = host.environment
  // Checked before anything is begun.
  operationLimit({ timeoutMs }, clock)
  const endNow = (): void => {
    host.pool.endNow()
    cluster?.endNow()
  }
  environment.elections.end(environment.ambient.current?.holder)
  if (mode === 'fast') endNow()
  // The replicas' pools go on until the primary's has ended, which can be undone until then.
  const ended = host.pool.end().then(() => cluster?.end())
  // At once: nobody waits for news of a pool that takes no new work. It never rejects.
  const unheard = listeners.end()
  const timer = clock.setTimer(timeoutMs, endNow)
  try {
    await ended
    await unheard
  } finally {
    clock.clearTimer(timer)
  }
}
