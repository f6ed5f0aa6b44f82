import { createPool, type Pool } from '@pg-lifeguard/core'
import { startCluster } from '@pg-lifeguard/testing'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../../src/expectations.js'
import { checkRoute, type RoutedQuery, shop, shopOptions, whereItRan } from '../../src/index.js'
import { replicatedDatabase } from '../environment.js'

/** An ORM on a pool, and how it is closed. */
export interface RoutedOrm<Db> {
  open(pool: Pool): Db
  close(db: Db): Promise<void>
}

interface Stage<Db> {
  readonly pool: Pool
  readonly db: Db
  readonly replicaUrl: string
  /** `127.0.0.1:5433` */
  readonly replica: string
}

/**
 * Runs every query of a corpus inside of `pool.read`, on a primary with one replica.
 *
 * @param own what is written in the ORM's own words
 * @param shared what is sent through it as text
 */
export function routingSuite<Db>(
  orm: RoutedOrm<Db>,
  own: readonly RoutedQuery<Db>[],
  shared: readonly RoutedQuery<Db>[],
): void {
  let made: Stage<Db> | undefined
  let stop = async (): Promise<void> => undefined
  const stage = (): Stage<Db> => {
    if (made === undefined) throw new Error('the stage is there only while tests and their hooks run')
    return made
  }

  beforeAll(async () => {
    const cluster = await startCluster({ replicas: 1 })
    stop = () => cluster.stop()
    const { url, replicaUrl } = await replicatedDatabase(cluster, shop)
    const pool = createPool({ connectionString: url, replicas: [replicaUrl], max: 4, ...shopOptions })
    const replica = new URL(replicaUrl).host
    made = { pool, db: orm.open(pool), replicaUrl, replica }
    // From here on the pool knows of the replica, and how old it is.
    await until(async () => {
      const { executed } = await whereItRan(pool, replica, () => pool.read(() => pool.query('select 1')))
      return executed.every(({ on }) => on === 'replica')
    }, 'the replica to be read from')
  })
  afterAll(async () => {
    if (made !== undefined) {
      await orm.close(made.db)
      await made.pool.end()
    }
    await stop()
  })

  test('the corpus has 60 queries of its own, 20 of each kind at least, and none twice', () => {
    expect(own.length).toBeGreaterThanOrEqual(60)
    for (const kind of ['replica', 'primary']) {
      expect(own.filter(({ destination }) => destination === kind).length).toBeGreaterThanOrEqual(20)
    }
    const names = [...own, ...shared].map(({ name }) => name)
    expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([])
  })

  // No test.each: it shortens the names.
  for (const routed of [...own, ...shared]) {
    const { name, destination, because } = routed
    test(`${destination}: ${name}${because === undefined ? '' : ` (${because})`}`, async () => {
      const { pool, replica, db } = stage()
      await checkRoute(pool, replica, db, routed)
    })
  }

  test('after all of it nothing is in use, and no lock was left on the replica', async () => {
    const { pool, replicaUrl } = stage()
    await until(() => pool.stats().pool.active === 0, 'all connections to be given back')
    await using onReplica = createPool({ connectionString: replicaUrl, max: 1 })
    const { rows } = await onReplica.query("select pid from pg_locks where locktype = 'advisory'")
    expect(rows).toEqual([])
  })
}
