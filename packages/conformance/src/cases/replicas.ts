import assert from 'node:assert/strict'
import type { Case, CaseContext, Opened, ReplicatedDatabase } from '../case.js'
import { until } from '../expectations.js'
import type { Statements } from '../subject.js'

interface Stage extends Opened {
  readonly replicated: ReplicatedDatabase
  /** On the primary, past the pool of the case. */
  readonly primary: Statements
}

/**
 * A pool on a primary and its replica, which stands still: what is read there is what was there before, and so it is
 * seen where a read has gone.
 */
async function withStandingReplica(context: CaseContext, run: (stage: Stage) => Promise<void>): Promise<void> {
  const replicated = await context.openCluster()
  const [replica] = replicated.cluster.replicas
  if (replica === undefined) throw new Error('bug: a cluster without its replica')
  const opened = await context.openPool({
    connectionString: replicated.url,
    replicas: [replicated.replicaUrl],
    maxLagMs: 600_000,
    // When it is in vain, it is to be in vain soon.
    causalityWaitMs: 20,
  })
  const { handle: primary } = await context.openPool({ connectionString: replicated.url, max: 1 })
  const { handle, pool } = opened
  await primary.query('truncate item, part, sample')
  await primary.insert({ id: 1, name: 'old' })
  await replicated.cluster.waitForReplicas()
  // From here on the pool knows of the replica, and how old it is.
  await pool.read(() => handle.find(1))
  await until(() => pool.stats().servers.length === 2, 'the pool to know both')
  await replica.pauseReplay()
  try {
    await primary.update(1, { name: 'new' })
    await run({ ...opened, replicated, primary })
  } finally {
    await replica.resumeReplay()
  }
}

export const replicasCases: readonly Case[] = [
  {
    name: 'replicas: reads of pool.read go to one, and no other reads',
    run: (context) =>
      withStandingReplica(context, async ({ handle, pool }) => {
        assert.equal((await pool.read(() => handle.find(1)))?.name, 'old')
        const [row] = await pool.read(() => handle.query<{ name: string }>('select name from item where id = $1', [1]))
        assert.equal(row?.name, 'old')
        assert.equal((await handle.find(1))?.name, 'new')
        assert.equal((await handle.withTransaction((tx) => tx.find(1)))?.name, 'new')
      }),
  },
  {
    name: 'replicas: writes, locks and transactions of pool.read stay on the primary',
    run: (context) =>
      withStandingReplica(context, async ({ handle, pool, primary }) => {
        const text = 'select name from item where id = 1 for update'
        assert.deepEqual(
          (await pool.read(() => handle.query<{ name: string }>(text))).map(({ name }) => name),
          ['new'],
        )
        assert.equal((await pool.read(() => handle.withTransaction((tx) => tx.find(1))))?.name, 'new')
        assert.equal((await pool.read(() => handle.ownTransaction((tx) => tx.find(1))))?.name, 'new')
        const inserting =
          "with made as (insert into item (id, name) values (2, 'cte') returning id) select id from made"
        assert.equal((await pool.read(() => handle.query(inserting))).length, 1)
        await pool.read(() => handle.update(1, { stock: 9 }))
        assert.equal((await primary.find(1))?.stock, 9)
        await pool.read(() => handle.insert({ id: 3, name: 'made' }))
        assert.equal(await pool.read(() => handle.delete(2)), 1)
        assert.deepEqual(
          (await primary.query<{ id: number }>('select id from item order by id')).map(({ id }) => id),
          [1, 3],
        )
      }),
  },
  {
    name: 'replicas: a line of work reads what it has written, and others by its token',
    run: (context) =>
      withStandingReplica(context, async ({ handle, pool }) => {
        const read = async (): Promise<string | undefined> => (await pool.read(() => handle.find(1)))?.name
        const token = await pool.withCausality(undefined, async () => {
          await handle.update(1, { name: 'mine' })
          assert.equal(await read(), 'mine')
          await handle.withTransaction((tx) => tx.update(1, { name: 'mine again' }))
          assert.equal(await read(), 'mine again')
          await handle.ownTransaction((tx) => tx.update(1, { name: 'mine at last' }))
          assert.equal(await read(), 'mine at last')
          return await pool.causalToken()
        })
        assert.equal(await read(), 'old')
        assert.equal(await pool.withCausality(token, read), 'mine at last')
      }),
  },
]
