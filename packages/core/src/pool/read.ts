import { Causality, formatToken, parseToken } from '../cluster/causality.js'
import { milliseconds } from '../cluster/cluster-options.js'
import type { ReadScope } from '../cluster/router.js'
import { WritePositions } from '../cluster/write-positions.js'
import type { OperationOptions } from '../deadline/deadline.js'
import { assertKnownOptions, optionNames } from '../errors/known-options.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import { runWithin } from '../transaction/ambient-deadline.js'
import type { SessionEnvironment } from '../transaction/environment.js'

/**
 * The body of `pool.withCausality`. Inside of another one it begins with what that one has seen, and what it writes is seen
 * there too.
 */
export async function withCausality<T>(
  { ambient }: SessionEnvironment,
  token: string | undefined,
  fn: () => Promise<T>,
): Promise<T> {
  if (typeof fn !== 'function') throw new InvalidArgumentError('fn', `of type ${typeof fn}`, 'a function')
  const seen = token === undefined ? undefined : parseToken(token)
  const causality = new Causality(seen, ambient.current?.causality)
  return await ambient.run({ causality }, async () => await fn())
}

/**
 * The body of `pool.causalToken`. The token is complete: a position that is still being asked for is waited for.
 *
 * @returns undefined when nothing was written, and no token was given to begin with
 */
export async function causalToken({ ambient, cluster, server }: SessionEnvironment): Promise<string | undefined> {
  const causality = ambient.current?.causality
  const position = (): ReturnType<WritePositions['next']> =>
    cluster === undefined ? new WritePositions(server).next() : cluster.writes.position()
  if (causality === undefined || cluster === undefined) return formatToken(await position())
  await causality.settled()
  if (causality.isUnknown) {
    const { unknowns } = causality
    causality.settleUnknown(await position(), unknowns)
  }
  return causality.token === undefined ? undefined : formatToken(causality.token)
}

/** How far behind the primary the reads inside of `pool.read()` may be, and how long all of it may take. */
export interface ReadOptions extends OperationOptions {
  /** In milliseconds, `0` or more. @default the pool's `maxLagMs` */
  readonly maxLagMs?: number | undefined
  /** In bytes of log; a replica that is within either of the two will do. @default the pool's `maxLagBytes` */
  readonly maxLagBytes?: number | undefined
}

const names = optionNames<ReadOptions>({ signal: true, timeoutMs: true, maxLagMs: true, maxLagBytes: true })

/** The body of `pool.read`. */
export async function read<T>(
  environment: SessionEnvironment,
  fn: () => Promise<T>,
  options: ReadOptions = {},
): Promise<T> {
  if (typeof fn !== 'function') throw new InvalidArgumentError('fn', `of type ${typeof fn}`, 'a function')
  assertKnownOptions(options, names)
  const { ambient, cluster } = environment
  const { maxLagMs, maxLagBytes, signal, timeoutMs } = options
  if (maxLagMs !== undefined) milliseconds('maxLagMs', maxLagMs)
  if (maxLagBytes !== undefined && !(typeof maxLagBytes === 'number' && maxLagBytes >= 0)) {
    throw new InvalidArgumentError('maxLagBytes', String(maxLagBytes), 'a number of bytes, 0 or more')
  }
  const deadline = ambient.deadlineFor(options)
  const scope = cluster === undefined ? undefined : scopeOf(cluster.scope, maxLagMs, maxLagBytes)
  const causality = ambient.current?.causality ?? (scope === undefined ? undefined : new Causality(undefined))
  return await ambient.run({ reading: scope, causality }, async () => {
    if (signal === undefined && timeoutMs === undefined) return await fn()
    return await runWithin(environment, deadline, async () => await fn())
  })
}

function scopeOf(standard: ReadScope, maxLagMs: number | undefined, maxLagBytes: number | undefined): ReadScope {
  if (maxLagMs === undefined && maxLagBytes === undefined) return standard
  return { maxLagMs: maxLagMs ?? standard.maxLagMs, maxLagBytes: maxLagBytes ?? standard.maxLagBytes }
}
