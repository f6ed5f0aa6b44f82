import type { Cluster } from '@pg-lifeguard/testing'
import type { DemoName } from '../demo-names.js'
import type { Orm } from '../orm.js'
import type { FigureTable } from '../screen-parts.js'

/** What a demo is given. */
export interface Stage {
  /** It may do to them whatever it likes, if it undoes it; whoever comes behind a killed primary gets new ones. */
  readonly cluster: Cluster
  /** Of an empty database on the primary. */
  readonly url: string
  /** Of the same database on the replicas; none unless the demo is one of `demosOnReplicas`. */
  readonly replicaUrls: readonly string[]
  /** What to show it in: some of the demo's own, at least one. */
  readonly orms: readonly Orm[]
  /** `short` claims the same of smaller numbers. */
  readonly size: 'full' | 'short'
  /** Tells the person who watches what is going on. */
  show(text: string): void
}

/** Something that has to be so, and what was seen. */
export interface Claim {
  readonly claim: string
  readonly holds: boolean
  readonly seen: string
}

/** What came of a demo. */
export interface Findings {
  readonly tables: readonly FigureTable[]
  readonly claims: readonly Claim[]
}

/** What a demo says about itself. */
export interface DemoDescription {
  readonly name: DemoName
  /** In one line. */
  readonly title: string
  /** What happens and why it matters, in two or three lines. */
  readonly about: readonly string[]
  /** What it claims, in the few words that a table has room for. */
  readonly gist: string
}

/** One demo: what it says about itself, and what it does. */
export interface Demo extends DemoDescription {
  /** What it is written in; one file each in the demo's folder. */
  readonly orms: readonly Orm[]
  /** Why it is not written in all of them; undefined when it is. */
  readonly whyNotAll?: string
  /** Where the code to copy is, below apps/example/src/. */
  readonly code: string
  run(stage: Stage): Promise<Findings>
}

/** A claim in one line of code. */
export function claim(claimed: string, holds: boolean, seen: string | number): Claim {
  return { claim: claimed, holds, seen: String(seen) }
}
