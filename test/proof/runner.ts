import { randomUUID } from 'node:crypto'
import type { Pool, TransactionOptions } from '@pg-lifeguard/core'
import type { Cell, Mode, Moment, Trial } from './cell.js'
import { type FaultName, faults } from './faults.js'
import { type Hold, holdAt } from './hold.js'
import { Stage } from './stage.js'

const proofs: Readonly<Record<Mode, TransactionOptions>> = {
  plain: {},
  proveCommit: { proveCommit: { timeoutMs: 30_000 } },
  markerTable: { proveCommit: { timeoutMs: 30_000, markerTable: 'lifeguard_commit' } },
}

/** Runs all cells of a fault at these moments; calls `onCell` with each as it is known. */
export async function runFault(
  name: FaultName,
  moments: readonly Moment[],
  trials: number,
  onCell: (cell: Cell) => void,
): Promise<void> {
  const { replicas, reusable } = faults[name]
  const groups = reusable ? [moments] : moments.map((moment) => [moment])
  for (const group of groups) {
    await using stage = await Stage.open(replicas)
    for (const moment of group) for (const cell of await runMoment(stage, name, moment, trials)) onCell(cell)
  }
}

/** All transactions of all modes are brought to the moment, then the fault strikes them all at once. */
async function runMoment(stage: Stage, name: FaultName, moment: Moment, trials: number): Promise<Cell[]> {
  const fault = faults[name]
  const { modes, timeoutMs, holdsOnServer } = fault
  const pools = await Promise.all(modes.map(async (mode) => [mode, await stage.pool(mode, trials)] as const))
  const count = modes.length * trials
  const hold = await holdAt(moment, stage, modes, count, holdsOnServer)
  const running = pools.flatMap(([mode, pool]) =>
    Array.from({ length: trials }, async () => {
      const operation = `${mode} ${randomUUID()}`
      const learned = await learn(pool, operation, hold, { ...proofs[mode], ...(timeoutMs && { timeoutMs }) })
      return { mode, operation, learned }
    }),
  )
  const answered = Promise.all(running)
  await hold.reached(count)
  await fault.strike({ stage, moment, hold, modes, answered })
  const results = await answered
  const rows = await stage.rows(modes)
  const done = results.map((one): Trial => ({ ...one, rows: rows.get(one.operation) ?? 0 }))
  return modes.map((mode) => ({ fault: name, moment, mode, trials: done.filter((trial) => trial.mode === mode) }))
}

/** One transaction of two statements, and what is reported to its caller. */
async function learn(pool: Pool, operation: string, hold: Hold, options: TransactionOptions): Promise<string> {
  let attempts = 0
  try {
    await pool.withTransaction(async (tx) => {
      attempts = tx.attempt
      await tx.query('insert into entry values ($1, 1)', [operation])
      if (tx.attempt === 1) await hold.between()
      await tx.query('insert into entry values ($1, 2)', [operation])
    }, options)
    const retries = attempts - 1
    return retries === 0 ? 'returned' : `returned after ${retries} ${retries === 1 ? 'retry' : 'retries'}`
  } catch (error) {
    return error instanceof Error ? error.name : String(error)
  }
}
