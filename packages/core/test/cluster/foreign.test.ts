import { type Cluster, type ServerNode, startCluster } from '@pg-lifeguard/testing'
import { afterEach, expect, test } from 'vitest'
import { onServer, useCluster } from '../support/test-cluster.js'
import { eventually } from '../support/test-pool.js'

const bench = useCluster('create table entry (id int primary key)', { replicas: 1 })
const others: Cluster[] = []

afterEach(async () => {
  for (const cluster of others.splice(0)) await cluster.stop()
})

/** Another database system, in which everything is called as in the one of the bench; at that port. */
async function startOther(port?: number): Promise<string> {
  const other = await startCluster(port === undefined ? {} : { port })
  others.push(other)
  const { username, password, pathname } = new URL(bench().database.url)
  const admin = new URL(other.primary.url)
  await onServer(admin.href, `create database ${JSON.stringify(pathname.slice(1))}`)
  await onServer(admin.href, `alter role ${JSON.stringify(username)} password '${password}'`)
  Object.assign(admin, { username, password, pathname })
  await onServer(admin.href, 'create table entry (id int primary key)')
  return admin.href
}

const whereIs = ({ port }: ServerNode): string => `127.0.0.1:${port}`

test('a server of another system among the replicas is never read from, and is told of', async () => {
  const stranger = await startOther()
  // On a busy machine a look may come late.
  const pool = bench().pool({ replicas: [stranger, ...bench().replicas], maxLagMs: 20_000 })
  await onServer(stranger, 'insert into entry values (666)')
  await eventually('the replica is known', async () => {
    await pool.read(() => pool.query('select from entry'))
    return (pool.stats().servers[2]?.reads ?? 0) > 0
  })
  const before = pool.stats().servers[0]?.reads ?? 0
  for (let n = 0; n < 50; n += 1) {
    expect(await pool.read(async () => (await pool.query('select from entry')).rows)).toEqual([])
  }
  expect(pool.stats().servers.map(({ role, reads }, index) => [role, reads > (index === 0 ? before : 0)])).toEqual([
    ['primary', false],
    ['foreign', false],
    ['replica', true],
  ])
  const health = await pool.health()
  expect([health.status, health.servers.map(({ role }) => role)]).toEqual([
    'degraded',
    ['primary', 'foreign', 'replica'],
  ])
})

test('another system in the place of the primary is written to, though its timeline is an earlier one', async () => {
  const { cluster, database } = bench()
  const [heir] = cluster.replicas as [ServerNode]
  const pool = bench().pool()
  await pool.query('insert into entry values (1)')
  await cluster.waitForReplicas()
  await cluster.primary.kill()
  await heir.promote()
  await pool.query('insert into entry values (2)')
  expect(pool.stats().servers[1]).toMatchObject({ address: whereIs(heir), role: 'primary', timeline: 2 })

  await heir.stop()
  const successor = await startOther(heir.port)
  expect(new URL(successor).port).toBe(new URL(database.urlOn(heir)).port)
  await eventually('it is written to', async () => {
    const { rowCount } = await pool
      .query('insert into entry values (3) on conflict do nothing')
      .catch(() => ({ rowCount: 0 }))
    return rowCount === 1
  })
  expect(await onServer(successor, 'select id from entry')).toEqual([{ id: 3 }])
  expect(pool.stats().servers[1]).toMatchObject({ role: 'primary', timeline: 1 })
})
