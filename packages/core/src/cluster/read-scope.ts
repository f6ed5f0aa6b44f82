import type { FreshnessBound } from '../policy/primary-trail.js'
import type { Causality } from './causality.js'

/** What `pool.read()` asks for. */
export type ReadScope = FreshnessBound

/** Where a line of work stands when it asks for a read. */
export interface ReadContext {
  readonly scope: ReadScope
  /** What its reads must show. */
  readonly causality: Causality | undefined
}
