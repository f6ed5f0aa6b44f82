import type { Case } from '../case.js'
import { pools } from '../line-ups/pools.js'
import { keepBusy } from '../load.js'

/** How many round trips a transaction of one caller takes: its time over that of one statement. */
function transaction(statements: number): Case {
  return {
    name: `transaction-${statements}-2ms`,
    lineUp: pools,
    unit: 'round trips',
    better: 'lower',
    needs: ['transaction'],
    slow: statements > 1,
    connections: 4,
    roundTripMs: 2,
    async read(session, { ms, measureRoundTrip }) {
      const roundTrip = await measureRoundTrip()
      const { operations, elapsedMs } = await keepBusy(1, ms, async () => session.transaction?.(statements))
      return elapsedMs / operations / roundTrip
    },
  }
}

export const transactions: readonly Case[] = [transaction(1), transaction(5)]
