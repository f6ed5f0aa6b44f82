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
 * Runs `fn` as one line of work, a request say: its reads show what it has written, and what `token` stands for, also on
 * replicas. Inside of another one it begins with what that has seen, and what it writes is seen there too.
 *
 * @param token what `causalToken` gave, here or in another process; undefined when there is none
 * @throws InvalidArgumentError when `token` is no token
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
 * The token of the line of work around the call: whoever is given it sees everything that was written or seen here. It is
 * complete: a position that is still being asked for is waited for. Outside of any, it stands for everything that has been
 * committed by now, by anybody; that costs a round trip to the primary.
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
