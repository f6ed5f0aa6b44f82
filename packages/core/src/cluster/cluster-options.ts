import { InvalidArgumentError } from '../errors/lifeguard-error.js'

/** One replica with its defaults filled in. */
export interface ResolvedReplica {
  readonly connectionString: string
  readonly weight: number
  readonly max: number | undefined
  readonly min: number
}

/** The options with every default filled in. */
export interface ResolvedClusterOptions {
  readonly replicas: readonly ResolvedReplica[]
  readonly maxLagMs: number
  readonly maxLagBytes: number | undefined
  readonly failoverTimeoutMs: number
  readonly causalityWaitMs: number
  readonly readFunctions: readonly string[]
  readonly primaryOnly: readonly string[]
}

/** @throws InvalidArgumentError when it is no duration */
export function milliseconds(option: string, value: number): number {
  if (!(typeof value === 'number' && value >= 0)) {
    throw new InvalidArgumentError(option, String(value), 'a number of milliseconds, 0 or more')
  }
  return value
}
