import { type Cluster, connectToServer, ServerUnreachableError, sessionsOf, startCluster } from '@pg-lifeguard/testing'
import pg from 'pg'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'

let cluster: Cluster

beforeAll(async () => {
  cluster = await startCluster({ replicas: 1 })
})

afterAll(() => cluster?.stop())

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

const names = () =>
  query(cluster.url, `select datname as name from pg_database where datname like 'lifeguard%' or datname like 'my %'`)

test('a database is there on the replica too, and gone at the end of its block', async () => {
  {
    await using database = await cluster.createDatabase()
    expect(await names()).toEqual([{ name: database.name }])
    const [replica] = cluster.replicas
    if (replica === undefined) throw new Error('bug: no replica')
    const sql = 'select current_database() as name, pg_is_in_recovery() as replica'
    expect(await query(database.url, sql)).toEqual([{ name: database.name, replica: false }])
    expect(await query(database.urlOn(replica), sql)).toEqual([{ name: database.name, replica: true }])
  }
  expect(await names()).toEqual([])
})

test("a database can be copied from a template, under a name of one's own", async () => {
  await using template = await cluster.createDatabase({ name: 'my "template"' })
  await query(template.url, 'create table item (id int); insert into item values (7)')
  await using copy = await cluster.createDatabase({ template: template.name })
  expect(await query(copy.url, 'select id from item')).toEqual([{ id: 7 }])
  await expect(cluster.createDatabase({ name: template.name })).rejects.toMatchObject({ code: '42P04' })
  await expect(cluster.createDatabase({ template: 'nowhere' })).rejects.toMatchObject({ code: '3D000' })
})

test('drop() ends the sessions that are left, and can be repeated', async () => {
  const database = await cluster.createDatabase()
  const client = new pg.Client({ connectionString: database.url, application_name: 'leak' })
  const failed = new Promise((resolve) => client.on('error', resolve))
  await client.connect()
  expect(await sessionsOf(database)).toMatchObject([{ applicationName: 'leak' }])
  await database.drop()
  expect(await failed).toMatchObject({ code: '57P01' })
  expect(await sessionsOf(database)).toEqual([])
  await database.drop()
})

test('a database is made while a replica is paused or stopped, without waiting for it', async () => {
  const [replica] = cluster.replicas
  if (replica === undefined) throw new Error('bug: no replica')
  await replica.pauseReplay()
  await using one = await cluster.createDatabase()
  await replica.resumeReplay()
  await replica.stop()
  await using two = await cluster.createDatabase()
  await replica.start()
  await cluster.waitForReplicas()
  for (const database of [one, two])
    expect(await query(database.urlOn(replica), 'select 1 as one')).toEqual([{ one: 1 }])
})

test("a server of one's own gives the same databases", async () => {
  vi.stubEnv('LIFEGUARD_TEST_URL', cluster.url)
  const server = await connectToServer()
  vi.unstubAllEnvs()
  expect(server.url).toBe(cluster.url)
  await using database = await server.createDatabase()
  expect(await query(database.urlOn(server), 'select current_database() as name')).toEqual([{ name: database.name }])
})

test("a server of one's own that cannot be used says why, without its password", async () => {
  vi.stubEnv('LIFEGUARD_TEST_URL', undefined)
  await expect(connectToServer()).rejects.toThrow(/no url of a server: pass one, or set LIFEGUARD_TEST_URL/)
  vi.unstubAllEnvs()
  const wrong = new URL(cluster.url)
  wrong.password = 'secret'
  const start = connectToServer(wrong.href)
  await expect(start).rejects.toThrow(ServerUnreachableError)
  await expect(start).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE', cause: { code: '28P01' } })
  await expect(start).rejects.toThrow(/password authentication failed/)
  await expect(start).rejects.not.toThrow(/secret/)
  await query(cluster.url, `create role visitor login password 'v'`)
  wrong.username = 'visitor'
  wrong.password = 'v'
  await expect(connectToServer(wrong.href)).rejects.toThrow('this user may not create databases')
})
