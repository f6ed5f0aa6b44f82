import { formatToken, parseToken } from '../cluster/causal-token.js'
import { Causality } from '../cluster/causality.js'
import { WritePositions } from '../cluster/write-positions.js'
import { InvalidOptionError } from '../errors/invalid-option-error.js'
import type { SessionEnvironment } from './session-environment.js'

/**
 * Runs `fn` as one line of work, a request say: its reads show what it has written, and what `token` stands for, also on
 * replicas. Inside of another one it begins with what that has seen, and what it writes is seen there too.
 *
 * @param token what `causalToken` gave, here or in another process; undefined when there is none
 * @throws InvalidOptionError when `token` is no token
 */
export async function withCausality<T>(
  { ambient }: SessionEnvironment,
  token: string | undefined,
  fn: () => Promise<T>,
): Promise<T> {
  if (typeof fn !== 'function') throw new InvalidOptionError('fn', `of type ${typeof fn}`, 'a function')
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
export async function causalToken({ ambient, cluster, host }: SessionEnvironment): Promise<string | undefined> {
  const causality = ambient.current?.causality
  const position = (): ReturnType<WritePositions['next']> =>
    cluster === undefined ? new WritePositions(host).next() : cluster.writes.position()
  if (causality === undefined || cluster === undefined) return formatToken(await position())
  await causality.settled()
  if (causality.isUnknown) {
    const { unknowns } = causality
    causality.settleUnknown(await position(), unknowns)
  }
  return causality.token === undefined ? undefined : formatToken(causality.token)
}
