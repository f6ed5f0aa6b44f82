import type { Incident } from './incident.js'
import { leak } from './incidents/leak.js'
import { movedHost } from './incidents/moved-host.js'
import { primaryDown } from './incidents/primary-down.js'
import { replicaLag } from './incidents/replica-lag.js'
import { rotatedPassword } from './incidents/rotated-password.js'
import { serverFull } from './incidents/server-full.js'
import { slowStorm } from './incidents/slow-storm.js'

/** All incidents, in the order in which they are run. */
export const incidents: readonly Incident[] = [
  leak,
  slowStorm,
  primaryDown,
  replicaLag,
  rotatedPassword,
  serverFull,
  movedHost,
]
