import { expect, test } from 'vitest'
import { onServer, useCluster } from '../support/test-cluster.js'
import { eventually, rejection } from '../support/test-pool.js'

const bench = useCluster('create table item (id int primary key)')

test('what looks at the servers is beside the pool: one session for each at most, counted', async () => {
  const { database, replicas } = bench()
  const pool = bench().pool({ name: 'watched', max: 2 })
  await pool.read(() => pool.query('select count(*) from item'))
  await eventually('all are looked at', () => pool.stats().beside.watch === replicas.length + 1)
  expect(pool.stats().beside).toMatchObject({ listen: 0, total: replicas.length + 1 })
  await Promise.all(
    Array.from({ length: 20 }, () => pool.read(() => pool.query('select count(*) from item'))).concat(
      Array.from({ length: 20 }, () => pool.query('select 1')),
    ),
  )
  for (const url of [database.url, ...replicas]) {
    const [row] = await onServer<{ n: number }>(
      url,
      "select count(*)::int as n from pg_stat_activity where application_name = 'watched'",
    )
    // Those of the pool to this server, and the one that looks at it.
    expect(row?.n).toBeLessThanOrEqual(2 + 1)
  }
  await pool.end()
  await eventually('they are gone', () => pool.stats().beside.total === 0)
})

test('onConnect has the connections to every server, and not those that look at them', async () => {
  const ports: unknown[] = []
  const pool = bench().pool({
    max: 1,
    onConnect: async (connection) => {
      await connection.query("set app.tenant = 'one'")
      ports.push((await connection.query("select current_setting('port') as port")).rows[0]?.['port'])
    },
  })
  const { rows } = await pool.query("select current_setting('app.tenant') as tenant")
  expect(rows).toEqual([{ tenant: 'one' }])
  await pool.read(() => pool.query('select count(*) from item'))
  expect(new Set(ports).size).toBe(2)
  expect(ports).toHaveLength(2)
})

test('onConnect that fails on a replica is told to who reads there', async () => {
  const error = new Error('not on a replica')
  const pool = bench().pool({
    max: 1,
    onConnect: async (connection) => {
      const { rows } = await connection.query('select pg_is_in_recovery() as standby')
      if (rows[0]?.['standby'] === true) throw error
    },
  })
  expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  expect(await rejection(pool.read(() => pool.query('select count(*) from item')))).toBe(error)
})
