import type { OperationOptions } from '../base/limit.js'
import { Causality } from '../cluster/causality.js'
import { milliseconds } from '../cluster/cluster-options.js'
import type { ReadScope } from '../cluster/read-scope.js'
import { InvalidOptionError } from '../errors/invalid-option-error.js'
import { assertKnownOptions, optionNames } from '../errors/known-options.js'
import { withLimit } from './ambient-deadline.js'
import type { SessionEnvironment } from './session-environment.js'

/** How far behind the primary the reads inside of `pool.read()` may be, and how long all of it may take. */
export interface ReadOptions extends OperationOptions {
  /** In milliseconds, `0` or more. @default the pool's `maxLagMs` */
  readonly maxLagMs?: number | undefined
  /** In bytes of log; a replica that is within either of the two will do. @default the pool's `maxLagBytes` */
  readonly maxLagBytes?: number | undefined
}

const names = optionNames<ReadOptions>({ signal: true, timeoutMs: true, maxLagMs: true, maxLagBytes: true })

/**
 * Runs `fn`; what it reads on the pool may come from a replica. Statements that write, lock, or are not known to do
 * neither go to the primary, as do those of a transaction, unless that is begun with `readOnly: true` in here. What is
 * written inside is seen by the reads behind it.
 */
export async function read<T>(
  environment: SessionEnvironment,
  fn: () => Promise<T>,
  options: ReadOptions = {},
): Promise<T> {
  if (typeof fn !== 'function') throw new InvalidOptionError('fn', `of type ${typeof fn}`, 'a function')
  assertKnownOptions(options, names)
  const { ambient, cluster } = environment
  const { maxLagMs, maxLagBytes, signal, timeoutMs } = options
  if (maxLagMs !== undefined) milliseconds('maxLagMs', maxLagMs)
  if (maxLagBytes !== undefined && !(typeof maxLagBytes === 'number' && maxLagBytes >= 0)) {
    throw new InvalidOptionError('maxLagBytes', String(maxLagBytes), 'a number of bytes, 0 or more')
  }
  const limit = ambient.limitFor(options)
  const scope = cluster === undefined ? undefined : scopeOf(cluster.scope, maxLagMs, maxLagBytes)
  const causality = ambient.current?.causality ?? (scope === undefined ? undefined : new Causality(undefined))
  return await ambient.run({ reading: scope, causality }, async () => {
    if (signal === undefined && timeoutMs === undefined) return await fn()
    return await withLimit(environment, limit, async () => await fn())
  })
}

function scopeOf(standard: ReadScope, maxLagMs: number | undefined, maxLagBytes: number | undefined): ReadScope {
  if (maxLagMs === undefined && maxLagBytes === undefined) return standard
  return { maxLagMs: maxLagMs ?? standard.maxLagMs, maxLagBytes: maxLagBytes ?? standard.maxLagBytes }
}
