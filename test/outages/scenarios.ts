import type { Scenario } from './scenario.js'
import { blackhole } from './scenarios/blackhole.js'
import { kills } from './scenarios/kills.js'
import { overload } from './scenarios/overload.js'
import { restart } from './scenarios/restart.js'

/** Every kind of trouble, in the order in which they are run. */
export const scenarios: readonly Scenario[] = [overload, blackhole, restart, kills]
