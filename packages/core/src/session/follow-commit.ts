import { CommitFollower } from '../cluster/commit-follower.js'
import type { SessionEnvironment } from './session-environment.js'
import type { BeginOptions } from './transaction-options.js'

/** What takes the position of a commit, where there are replicas to be held against it and somebody who will ask. */
export function commitFollower(
  { ambient, cluster }: SessionEnvironment,
  { readOnly }: BeginOptions,
): CommitFollower | undefined {
  const causality = ambient.current?.causality
  if (cluster === undefined || causality === undefined || readOnly === true) return undefined
  if (cluster.writes.isMute) {
    causality.noteUnknown()
    return undefined
  }
  return new CommitFollower(causality)
}
