import type { Case } from './case.js'
import type { LineUp } from './line-up.js'
import type { Peer } from './peer.js'

/** Who is measured. */
export interface ChosenPeers {
  peersOf(lineUp: LineUp): readonly Peer[]
  /** A line for each that was asked for and cannot be measured. */
  readonly leftOut: readonly string[]
}

/** The peers of these cases: programs outside of Node only with `--limits`, and of them those that are installed. */
export function chosenPeers(cases: readonly Case[], limits: boolean): ChosenPeers {
  const outside = new Set(cases.flatMap(({ lineUp }) => lineUp.peers.filter(({ missing }) => missing !== undefined)))
  if (!limits) return { peersOf: ({ peers }) => peers.filter((peer) => !outside.has(peer)), leftOut: [] }
  const leftOut = new Map<Peer, string>()
  for (const peer of outside) {
    const missing = peer.missing?.()
    if (missing !== undefined) leftOut.set(peer, `--limits: ${peer.name} is left out; it needs ${missing}`)
  }
  return { peersOf: ({ peers }) => peers.filter((peer) => !leftOut.has(peer)), leftOut: [...leftOut.values()] }
}
