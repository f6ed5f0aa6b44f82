import { Deadline, type OperationOptions } from '../deadline/deadline.js'
import { assertKnownOptions, operationNames, optionNames } from '../errors/known-options.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import type { Listeners } from '../listen/listener.js'
import type { LockEnvironment } from '../lock/with-lock.js'
import { assertSize, withoutUndefined } from '../options/pool-options.js'
import { type EvictMode, evictModes } from '../resource-pool/lifecycle.js'
import type { PoolSize } from '../resource-pool/limits.js'
import type { SessionEnvironment } from '../transaction/environment.js'

/** The body of `pool.evict`: on the pool of the primary, and on those of the replicas. */
export async function evictFrom(
  { cluster, server, ambient }: SessionEnvironment,
  mode: EvictMode,
  options?: OperationOptions,
): Promise<void> {
  if (!evictModes.includes(mode)) throw new InvalidArgumentError('mode', String(mode), evictModes.join(', '))
  assertKnownOptions(options, operationNames)
  const deadline = ambient.deadlineFor(options)
  const evicted = Promise.all([server.pool.evict(mode), cluster?.evict(mode)])
  await deadline.within(evicted, 'unknown')
}

/** The body of `pool.pause`. */
export async function pauseServers(
  { cluster, server, ambient }: SessionEnvironment,
  options?: OperationOptions,
): Promise<void> {
  assertKnownOptions(options, operationNames)
  const deadline = ambient.deadlineFor(options)
  const paused = Promise.all([server.pool.pause(), cluster?.pause()])
  await deadline.within(paused, 'unknown')
}

/** The body of `pool.resume`. */
export function resumeServers({ cluster, server }: SessionEnvironment): void {
  server.pool.resume()
  cluster?.resume()
}

const sizeNames = optionNames<PoolSize>({ max: true, min: true })

/** The body of `pool.resize`. */
export function resizePool({ server: { pool } }: SessionEnvironment, size: PoolSize): void {
  assertKnownOptions(size, sizeNames)
  assertSize(size, pool)
  pool.resize(withoutUndefined(size))
}

/**
 * How a pool is ended.
 *
 * - `'graceful'`: what was begun or waits is finished, for `timeoutMs` at most; then as `'fast'`.
 * - `'fast'`: callers that wait are rejected, and every connection is destroyed: what runs on it is cancelled.
 *
 * Either way `end` settles: tearing down takes a second at most where the server does not answer.
 */
export type EndOptions =
  | {
      /** @default 'graceful' */
      readonly mode?: 'graceful' | undefined
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
  const { mode = 'graceful', timeoutMs = defaultEndMs } = options
  if (mode !== 'graceful' && mode !== 'fast') {
    throw new InvalidArgumentError('mode', String(mode), 'graceful, fast')
  }
  const { cluster, server } = environment
  const { clock } = server.environment
  // Checked before anything is begun.
  Deadline.of({ timeoutMs }, clock)
  const endNow = (): void => {
    server.pool.endNow()
    cluster?.endNow()
  }
  environment.elections.end(environment.ambient.current?.holder)
  if (mode === 'fast') endNow()
  // The replicas' pools go on until the primary's has ended, which can be undone until then.
  const ended = server.pool.end().then(() => cluster?.end())
  // At once: a pool that takes no new work needs no notifications. It never rejects.
  const unheard = listeners.end()
  const timer = clock.setTimer(timeoutMs, endNow)
  try {
    await ended
    await unheard
  } finally {
    clock.clearTimer(timer)
  }
}
