import { type FaultProxy, type FaultRule, startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connectClient, rejection } from './proxy-support/clients.js'

const database = useDatabase({ setup: 'create table entry (id text primary key)' })
const trials = 30
let proxy: FaultProxy
let direct: pg.Client

beforeAll(async () => {
  proxy = await startFaultProxy({ target: database.url })
  direct = new pg.Client(database.url)
  await direct.connect()
})

afterAll(async () => {
  await direct?.end()
  await proxy?.stop()
})

type CommitQuery = pg.QueryConfig & { queryMode?: 'extended' }

const protocols: [string, CommitQuery][] = [
  ['simple', { text: 'COMMIT' }],
  ['extended', { text: 'COMMIT', queryMode: 'extended' }],
  ['extended, named', { text: '/* named */ commit', name: 'commit' }],
]

/** True when the row is there once the server has finished with the session. */
async function committed(id: string): Promise<boolean> {
  await expect
    .poll(async () => {
      const { rows } = await direct.query('select from pg_stat_activity where application_name = $1', [id])
      return rows.length
    })
    .toBe(0)
  const { rows } = await direct.query('select from entry where id = $1', [id])
  return rows.length === 1
}

/** Inserts a row and commits, with a rule in force; `commit` settles as the client sees it. */
async function transaction(id: string, commit: CommitQuery, rule: FaultRule) {
  await using connection = await connectClient(proxy.url, { application_name: id })
  const { client } = connection
  await client.query('begin')
  await client.query('insert into entry values ($1)', [id])
  const handle = await proxy.rule({ ...rule, connections: { applicationName: id } })
  const error = await rejection(client.query(commit))
  const fired = await handle.fired
  return { error, fired }
}

describe.each(protocols)('a COMMIT in the %s protocol', (protocol, commit) => {
  test(`was processed when the client is cut right after it was sent, ${trials} times of ${trials}`, async () => {
    for (let trial = 0; trial < trials; trial++) {
      const id = `${protocol} after ${trial}`
      const { error } = await transaction(id, commit, { statement: 'COMMIT', when: 'after', action: 'cut' })
      expect(error).toMatchObject({ code: 'ECONNRESET' })
      expect(await committed(id)).toBe(true)
    }
  })

  test(`was not processed when the client is cut before it was forwarded, ${trials} times of ${trials}`, async () => {
    for (let trial = 0; trial < trials; trial++) {
      const id = `${protocol} before ${trial}`
      const { error } = await transaction(id, commit, { statement: 'COMMIT', when: 'before', action: 'cut' })
      expect(error).toMatchObject({ code: 'ECONNRESET' })
      expect(await committed(id)).toBe(false)
    }
  })

  test('was processed when the client is cut before it learns of it', async () => {
    const id = `${protocol} answer`
    const { error, fired } = await transaction(id, commit, {
      direction: 'to-client',
      message: 'CommandComplete',
      text: 'COMMIT',
      when: 'before',
      action: 'fin',
    })
    expect(error).toMatchObject({ message: 'Connection terminated unexpectedly' })
    expect(fired.at).toBeLessThanOrEqual(Date.now() + 1)
    expect(await committed(id)).toBe(true)
  })

  test('was processed while the answer hangs, and the client receives nothing until its own timeout', async () => {
    const id = `${protocol} hang`
    await using connection = await connectClient(proxy.url, { application_name: id, query_timeout: 300 })
    await connection.client.query('begin')
    await connection.client.query('insert into entry values ($1)', [id])
    const rule = await proxy.rule({
      direction: 'to-client',
      message: 'CommandComplete',
      text: 'COMMIT',
      when: 'before',
      action: 'stall',
      connections: { applicationName: id },
    })
    const outcome = rejection(connection.client.query(commit))
    const { connectionId } = await rule.fired
    const { rows } = await direct.query('select from entry where id = $1', [id])
    expect(rows).toHaveLength(1)
    expect(await outcome).toMatchObject({ message: 'Query read timeout' })
    expect(await proxy.cut({ connections: connectionId })).toBe(1)
  })
})

test('a statement that was prepared long ago is known by its name', async () => {
  const id = 'prepared'
  await using connection = await connectClient(proxy.url, { application_name: id })
  const commit = { text: 'commit', name: 'c' }
  await connection.client.query('begin')
  await connection.client.query(commit)
  await connection.client.query('begin')
  await connection.client.query('insert into entry values ($1)', [id])
  const before = await proxy.stats()
  const rule = await proxy.rule({ statement: 'COMMIT', when: 'after', action: 'cut' })
  expect(await rejection(connection.client.query(commit))).toMatchObject({ code: 'ECONNRESET' })
  const after = await proxy.stats()
  expect(after.messages.toServer.Parse).toBe(before.messages.toServer.Parse)
  expect(await rule.count()).toBe(1)
  expect(await committed(id)).toBe(true)
})

test('a COMMIT that takes long is processed even where the server looks for clients that have gone', async () => {
  const id = 'slow commit'
  await direct.query(`
    create table slow (id text);
    create function dawdle() returns trigger language plpgsql as 'begin perform pg_sleep(0.3); return null; end';
    create constraint trigger dawdle after insert on slow deferrable initially deferred
      for each row execute function dawdle()`)
  await using connection = await connectClient(proxy.url, { application_name: id })
  await connection.client.query('set client_connection_check_interval = 20')
  await connection.client.query('begin')
  await connection.client.query('insert into slow values (1)')
  await connection.client.query('insert into entry values ($1)', [id])
  await proxy.rule({ statement: 'COMMIT', when: 'after', action: 'cut' })
  expect(await rejection(connection.client.query('COMMIT'))).toMatchObject({ code: 'ECONNRESET' })
  expect(await committed(id)).toBe(true)
})
