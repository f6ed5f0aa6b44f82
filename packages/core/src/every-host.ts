import type { OperationOptions } from './base/limit.js'
import { within } from './errors/given-up.js'
import { InvalidOptionError } from './errors/invalid-option-error.js'
import { assertKnownOptions, limitNames } from './errors/known-options.js'
import { type FlushMode, flushModes } from './pool/flush-mode.js'
import type { SessionEnvironment } from './session/session-environment.js'

/** The body of `pool.flush`: on the pool of the primary, and on those of the replicas. */
export async function flushHosts(
  { cluster, host, ambient }: SessionEnvironment,
  mode: FlushMode,
  options?: OperationOptions,
): Promise<void> {
  if (!flushModes.includes(mode)) throw new InvalidOptionError('mode', String(mode), flushModes.join(', '))
  assertKnownOptions(options, limitNames)
  const limit = ambient.limitFor(options)
  const flushed = Promise.all([host.pool.flush(mode), cluster?.flush(mode)])
  await within(flushed, limit, host.environment.clock, 'unknown')
}

/** The body of `pool.pause`. */
export async function pauseHosts(
  { cluster, host, ambient }: SessionEnvironment,
  options?: OperationOptions,
): Promise<void> {
  assertKnownOptions(options, limitNames)
  const limit = ambient.limitFor(options)
  const paused = Promise.all([host.pool.pause(), cluster?.pause()])
  await within(paused, limit, host.environment.clock, 'unknown')
}

/** The body of `pool.resume`. */
export function resumeHosts({ cluster, host }: SessionEnvironment): void {
  host.pool.resume()
  cluster?.resume()
}
