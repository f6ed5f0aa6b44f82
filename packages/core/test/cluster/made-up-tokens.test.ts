import { describe, expect, test } from 'vitest'
import { InvalidArgumentError, type Pool } from '../../src/index.js'
import { useCluster } from '../support/test-cluster.js'
import { eventually } from '../support/test-pool.js'

const bench = useCluster('create table item as select 1 as id')

/** Nobody can have got these from this cluster. */
const ahead = ['v1.1.FFFFFFFF-FFFFFFFF', 'v1.4294967295.0-1', 'v1.4294967295.FFFFFFFF-FFFFFFFF', 'v1.2.0-0']
const none = [
  'v1.0.0-1',
  'v1.-1.0-1',
  'v1.1.-1-1',
  'v1.1.0--1',
  'v1.1.100000000-0',
  'v1.4294967296.0-1',
  'v1.1e3.0-1',
  'v1.1.0x1-1',
  'v1.1.0-1\0',
  'v1.1.0-1\n',
  ' v1.1.0-1',
  'V1.1.0-1',
  'v1.1.0-1,v1.1.0-1',
  "v1.1.0-1'; drop table item; --",
  `v1.1.0-${'1'.repeat(1_000_000)}`,
  '',
  [],
  ['v1.1.0-1'],
  {},
  1n,
  null,
  Symbol('token'),
]

const read = (pool: Pool): Promise<unknown> => pool.read(async () => (await pool.query('select id from item')).rows)

async function warm(options = {}): Promise<Pool> {
  const pool = bench().pool({ causalityWaitMs: 20_000, ...options })
  await eventually('replicas are read from', async () => {
    await read(pool)
    return pool.stats().servers?.some(({ role, reads }) => role === 'replica' && reads > 0)
  })
  return pool
}
const replicaReads = (pool: Pool): number =>
  pool.stats().servers?.reduce((sum, { role, reads }) => sum + (role === 'replica' ? reads : 0), 0) ?? 0

describe('a token that nobody gave', () => {
  test.each(ahead)('%s is no reason to wait, nor to leave the replicas alone', async (token) => {
    const pool = await warm()
    const since = performance.now()
    for (let request = 0; request < 5; request += 1) {
      const before = replicaReads(pool)
      await pool.withCausality(token, async () => {
        for (let n = 0; n < 5; n += 1) expect(await read(pool)).toEqual([{ id: 1 }])
        // What is read next in this line of work is bounded by what is true.
        await eventually('replicas are read from', async () => {
          await read(pool)
          return replicaReads(pool) > before
        })
      })
    }
    // Not one of them has waited for what never comes.
    expect(performance.now() - since).toBeLessThan(20_000)
  })

  test.each(ahead)('%s does not hide what is written under it, nor go on to others', async (token) => {
    const pool = await warm()
    const table = `under_${ahead.indexOf(token)}`
    await pool.query(`create table ${table} (id int)`)
    for (let n = 1; n <= 5; n += 1) {
      const next = await pool.withCausality(token, async () => {
        await pool.query(`insert into ${table} values (${n})`)
        const seen = await pool.read(async () => (await pool.query(`select count(*)::int as n from ${table}`)).rows)
        expect(seen).toEqual([{ n }])
        return await pool.causalToken()
      })
      await pool.withCausality(next, async () => {
        const seen = await pool.read(async () => (await pool.query(`select count(*)::int as n from ${table}`)).rows)
        expect(seen).toEqual([{ n }])
      })
    }
  })

  test.each(none.map((token) => [token]))('and that is none is refused at once: %o', async (token) => {
    const pool = bench().pool()
    const error = await pool
      .withCausality(token as never, () => read(pool))
      .then(
        () => undefined,
        (reason: unknown) => reason,
      )
    expect(error).toBeInstanceOf(InvalidArgumentError)
    expect((error as Error).message.length).toBeLessThan(300)
  })
})
