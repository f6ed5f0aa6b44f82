import type { Bench, Case } from '../case.js'
import { pools } from '../line-ups/pools.js'
import { keepBusy } from '../load.js'
import type { SinkRow } from '../peer.js'

const batchSize = 100
const copied = 100_000

const row = (id: number): SinkRow => [id, `the body of row ${id}`]

function* rows(count: number): Generator<SinkRow> {
  for (let id = 1; id <= count; id++) yield row(id)
}

/** Rows a second, by whatever way; every row must have arrived. */
async function rate(
  { ms, emptySink }: Bench,
  perOperation: number,
  insert: (n: number) => Promise<unknown>,
): Promise<number> {
  await emptySink()
  const { operations, elapsedMs } = await keepBusy(1, ms, insert)
  const inserted = await emptySink()
  if (inserted !== operations * perOperation)
    throw new Error(`${inserted} rows arrived of ${operations * perOperation}`)
  return (inserted / elapsedMs) * 1_000
}

function inserts(network: 'loopback' | '2ms'): Case[] {
  const common = {
    lineUp: pools,
    unit: 'rows/s',
    better: 'higher',
    connections: 4,
    roundTripMs: network === '2ms' ? 2 : 0,
  } as const
  return [
    {
      ...common,
      name: `insert-each-${network}`,
      needs: ['insert'],
      slow: true,
      read: (session, bench) => rate(bench, 1, async (n) => session.insert?.(row(n))),
    },
    {
      ...common,
      name: `insert-batch-${network}`,
      needs: ['insertBatch'],
      slow: true,
      read: (session, bench) => rate(bench, batchSize, async () => session.insertBatch?.([...rows(batchSize)])),
    },
  ]
}

/** One caller inserts rows: one by one, a hundred in a batch, a hundred thousand by COPY. */
export const insertions: readonly Case[] = [
  ...inserts('2ms'),
  ...inserts('loopback'),
  {
    name: 'insert-copy-loopback',
    lineUp: pools,
    unit: 'rows/s',
    better: 'higher',
    needs: ['copyIn'],
    connections: 4,
    roundTripMs: 0,
    slow: true,
    read: (session, bench) => rate(bench, copied, async () => session.copyIn?.(rows(copied))),
  },
]
