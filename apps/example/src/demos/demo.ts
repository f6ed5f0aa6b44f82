import type { Cluster, SettingValue } from '@pg-lifeguard/testing'
import type { DemoName } from '../demo-names.js'
import type { Orm } from '../orm.js'

/** What a demo is given. */
export interface Stage {
  /** Servers of its own: it may do to them whatever it likes. */
  readonly cluster: Cluster
  /** Of an empty database on the primary. */
  readonly url: string
  /** Of the same database on the replicas. */
  readonly replicaUrls: readonly string[]
  /** What to show it in: some of the demo's own, at least one. */
  readonly orms: readonly Orm[]
  /** `short` says the same with smaller numbers, for tests. */
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

/** Figures for a person: the first column is the row's name. */
export interface FigureTable {
  readonly head: readonly string[]
  readonly rows: readonly (readonly (string | number)[])[]
}

/** What came of a demo. */
export interface Findings {
  readonly tables: readonly FigureTable[]
  readonly claims: readonly Claim[]
}

/** One demo: what it says about itself, and what it does. */
export interface Demo {
  readonly name: DemoName
  /** In one line. */
  readonly title: string
  /** What happens, in a few lines. */
  readonly about: readonly string[]
  /** What it is written in; one file each in the demo's folder. */
  readonly orms: readonly Orm[]
  /** Why it is not written in all of them; undefined when it is. */
  readonly whyNotAll?: string
  readonly replicas?: number
  readonly replicaSettings?: Readonly<Record<string, SettingValue>>
  /** Where the code to copy is, below apps/example/src/. */
  readonly code: string
  run(stage: Stage): Promise<Findings>
}

/** A claim in one line of code. */
export function claim(claimed: string, holds: boolean, seen: string | number): Claim {
  return { claim: claimed, holds, seen: String(seen) }
}
