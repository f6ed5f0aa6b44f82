import { expect, test } from 'vitest'
import type { RouteEvent } from '../../src/index.js'
import { onServer, useCluster } from '../support/test-cluster.js'
import { rejection } from '../support/test-pool.js'

// What a server is like that has no such functions for us, as those of Amazon Aurora: to this role.
const bench = useCluster(`
  create table item (id int primary key);
  revoke execute on function pg_last_wal_replay_lsn() from public;
  revoke execute on function pg_current_wal_insert_lsn() from public;
  create role guest login password 'guest';
  grant select, insert on item to guest`)

function guest(url: string): string {
  const own = new URL(url)
  own.username = 'guest'
  own.password = 'guest'
  return own.href
}

test('without log positions reads stay on the primary, unless any age will do and nothing was written', async () => {
  const { cluster, database, replicas } = bench()
  const pool = bench().pool({ connectionString: guest(database.url), replicas: replicas.map(guest) })
  const routes: RouteEvent[] = []
  pool.on('route', (event) => routes.push(event))
  const ways = (): string[] => routes.splice(0).map(({ role, reason }) => `${role} ${reason}`)
  const count = async (): Promise<number> => (await pool.query('select id from item')).rows.length

  expect(await pool.read(count)).toBe(0)
  expect(ways()).toEqual(['primary no-position'])
  const anyAge = { maxLagMs: Number.POSITIVE_INFINITY }
  await pool.read(count, anyAge)
  expect(ways()).toEqual(['replica fresh'])

  for (const server of cluster.replicas) await server.pauseReplay()
  try {
    await pool.withCausality(undefined, async () => {
      await pool.read(count, anyAge)
      await pool.query('insert into item values (1)')
      expect(await pool.read(count, anyAge)).toBe(1)
      expect(ways()).toEqual(['replica fresh', 'primary not-in-read', 'primary no-position'])
      // No token could stand for that.
      expect((await rejection(pool.causalToken())).code).toBe('42501')
    })
    await pool.withCausality(undefined, async () => {
      await pool.withTransaction((tx) => tx.query('insert into item values (2)'))
      expect(await pool.read(count, anyAge)).toBe(2)
      expect(await pool.read(() => pool.withTransaction(count, { readOnly: true }), anyAge)).toBe(2)
      expect(ways()).toEqual(['primary no-position', 'primary no-position'])
    })
  } finally {
    for (const server of cluster.replicas) await server.resumeReplay()
  }
  expect(pool.stats().servers).toMatchObject([
    { role: 'primary', timeline: undefined },
    { role: 'replica', timeline: undefined, lagMs: undefined, lagBytes: undefined },
    { role: 'replica', timeline: undefined, lagMs: undefined, lagBytes: undefined },
  ])
  // Nobody's error was made of it.
  expect(pool.stats().queries.failed).toMatchObject({ user: 1 })
  expect(Object.values(pool.stats().queries.failed).reduce((all, one) => all + one)).toBe(1)
  expect(await onServer(database.url, 'select count(*)::int as n from item')).toEqual([{ n: 2 }])
})
