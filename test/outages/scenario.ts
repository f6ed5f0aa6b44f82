import type { Subject } from './subject.js'

/** Something that Lifeguard promises, and what was seen of it. */
export interface Claim {
  readonly claim: string
  readonly holds: boolean
  readonly seen: string
}

/** What one pool did in one scenario. */
export interface Report {
  /** Figures by name, in the order in which they are shown. */
  readonly figures: Readonly<Record<string, string | number>>
  readonly claims: readonly Claim[]
}

/** How long and how hard; smaller in the tests. */
export interface Size {
  /** 1 is the size at which the promises are made. */
  readonly scale: number
}

/** One kind of trouble. It starts its own server, in a process of its own. */
export interface Scenario {
  readonly name: string
  readonly title: string
  run(subject: Subject, size: Size): Promise<Report>
}
