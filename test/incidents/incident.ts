import type { Report } from '../outages/scenario.js'

/** How long an incident lasts. */
export interface Size {
  /** 1 is the length at which the claims are made; the tests are shorter. */
  readonly scale: number
  /** Twice the length, of those that have a longer form. */
  readonly long?: boolean
}

/** Something that goes wrong in production. It starts its own servers. */
export interface Incident {
  readonly name: string
  readonly title: string
  run(size: Size): Promise<Report>
}
