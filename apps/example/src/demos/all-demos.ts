import type { DemoName } from '../demo-names.js'
import type { Demo } from './demo.js'
import { failover } from './failover/failover.js'
import { lostCommit } from './lost-commit/lost-commit.js'
import { lostLock } from './lost-lock/lost-lock.js'
import { mixed } from './mixed/mixed.js'
import { overload } from './overload/overload.js'
import { readYourWrites } from './read-your-writes/read-your-writes.js'
import { streamAndCopy } from './stream-and-copy/stream-and-copy.js'
import { tenants } from './tenants/tenants.js'

/** Every demo but the ticket office, by name. */
export const allDemos: Readonly<Record<Exclude<DemoName, 'oversell'>, Demo>> = {
  mixed,
  'read-your-writes': readYourWrites,
  failover,
  overload,
  'lost-lock': lostLock,
  'lost-commit': lostCommit,
  'stream-and-copy': streamAndCopy,
  tenants,
}
