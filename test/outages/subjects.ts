import type { Subject } from './subject.js'
import { lifeguard } from './subjects/lifeguard.js'
import { pgPool } from './subjects/pg-pool.js'

/** Those that are put to the test, ours first; the other one is there to compare. */
export const subjects: readonly Subject[] = [lifeguard, pgPool]
