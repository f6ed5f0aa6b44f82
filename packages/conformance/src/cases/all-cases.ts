import type { Case } from '../case.js'
import { ambientCases } from './ambient.js'
import { batchCases } from './batch.js'
import { breakerCases } from './breaker.js'
import { byHandCases } from './by-hand.js'
import { deadlineCases } from './deadline.js'
import { errorsCases } from './errors.js'
import { foreignCases } from './foreign.js'
import { killsCases } from './kills.js'
import { leaksCases } from './leaks.js'
import { lockCases } from './lock.js'
import { optimisticCases } from './optimistic.js'
import { optionsCases } from './options.js'
import { queryCases } from './query.js'
import { replicasCases } from './replicas.js'
import { retryCases } from './retry.js'
import { savepointCases } from './savepoint.js'
import { secondPoolCases } from './second-pool.js'
import { shutdownCases } from './shutdown.js'
import { streamCases } from './stream.js'
import { transactionCases } from './transaction.js'
import { typesCases } from './types.js'

/** What every adapter must do. */
export const allCases: readonly Case[] = [
  ...queryCases,
  ...typesCases,
  ...errorsCases,
  ...transactionCases,
  ...savepointCases,
  ...byHandCases,
  ...retryCases,
  ...foreignCases,
  ...optionsCases,
  ...ambientCases,
  ...lockCases,
  ...optimisticCases,
  ...deadlineCases,
  ...killsCases,
  ...batchCases,
  ...streamCases,
  ...breakerCases,
  ...replicasCases,
  ...shutdownCases,
  ...leaksCases,
  ...secondPoolCases,
]
