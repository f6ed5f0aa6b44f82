import { useDatabase } from '@pg-lifeguard/testing/vitest'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { refusedAtOnce, waysToConnect } from '../support/refused-login.js'
import { onServer, useCluster } from '../support/test-cluster.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const roles = ['login_p0001', 'login_42501', 'login_42704', 'login_22023', 'login_42601', 'login_55000'] as const
type Role = (typeof roles)[number]

/** A login of one of these roles ends in the SQLSTATE of its name, once it is switched on. */
const trigger = `
  create table refusing as select 1 as one;
  grant select on refusing to public;
  create function refuse_login() returns event_trigger language plpgsql as $$
  begin
    if session_user like 'login\\_%' and exists (select from public.refusing) then
      raise exception 'not you' using errcode = upper(substr(session_user, 7));
    end if;
  end $$;
  create event trigger gate on login execute function refuse_login();
  alter event trigger gate enable always`

const database = useDatabase({ setup: trigger })
beforeAll(async () => {
  for (const role of roles) await onServer(database.url, `create role ${role} login password 'x'`)
})
afterAll(async () => {
  for (const role of roles) await onServer(database.url, `drop role ${role}`)
})

const as = (role: string, url = database.url): string =>
  Object.assign(new URL(url), { username: role, password: 'x' }).href
const stateOf = (role: Role): string => role.slice(6).toUpperCase()

describe.each(roles)('a login trigger that raises refuses %s', (role) => {
  const refused = { code: stateOf(role), message: 'not you' }
  test.each(waysToConnect)('at once, to %s', async (_, connect) => {
    const pool = testPool(as(role), { acquireTimeoutMs: 60_000, max: 2 })
    const error = await refusedAtOnce(pool, connect)
    expect(error).toBeInstanceOf(pg.DatabaseError)
    expect(error).toMatchObject(refused)
  })
})

test('once the login is let in, the same pool serves the next caller with its first attempt', async () => {
  const pool = testPool(as('login_p0001'), { acquireTimeoutMs: 60_000 })
  for (let i = 0; i < 5; i += 1) await rejection(pool.query('select 1'))
  await onServer(database.url, 'delete from refusing')
  try {
    const { connectFailed } = pool.stats().pool
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    expect(pool.stats()).toMatchObject({ pool: { connectFailed }, servers: [{ breaker: { state: 'closed' } }] })
  } finally {
    await onServer(database.url, 'insert into refusing values (1)')
  }
})

describe('in a cluster', () => {
  const bench = useCluster(`create table item as select 1 as id; create role login_p0001 login password 'x';
    grant select, insert on item to login_p0001; ${trigger}; delete from refusing`)

  test('a replica that begins to refuse the login is out of rotation, and reads go on', async () => {
    const { database: own, replicas } = bench()
    // Only a server in recovery refuses: the trigger asks for nothing else.
    await onServer(
      own.url,
      `create or replace function refuse_login() returns event_trigger language plpgsql as $$
       begin
         if session_user like 'login\\_%' and pg_is_in_recovery() and exists (select from public.refusing)
         then raise exception 'not you'; end if;
       end $$`,
    )
    await bench().cluster.waitForReplicas()
    const pool = bench().pool({
      connectionString: as('login_p0001', own.url),
      replicas: replicas.map((url) => as('login_p0001', url)),
      acquireTimeoutMs: 60_000,
    })
    const read = (): Promise<unknown> => pool.read(async () => (await pool.query('select id from item')).rows)
    await eventually('replicas are read from', async () => {
      await read()
      return pool.stats().servers?.some(({ role, reads }) => role === 'replica' && reads > 0)
    })
    await onServer(own.url, 'insert into refusing values (1)')
    await bench().cluster.waitForReplicas()
    await pool.evict('all')
    for (let i = 0; i < 20; i += 1) expect(await read()).toEqual([{ id: 1 }])
    await pool.query('select 1')
    await onServer(own.url, 'delete from refusing')
  })

  test('a primary that refuses the login is not waited for, though its replicas let it in', async () => {
    const { database: own, replicas } = bench()
    await onServer(
      own.url,
      `create or replace function refuse_login() returns event_trigger language plpgsql as $$
       begin
         if session_user like 'login\\_%' and not pg_is_in_recovery() then raise exception 'not you'; end if;
       end $$`,
    )
    await bench().cluster.waitForReplicas()
    const pool = bench().pool({
      connectionString: as('login_p0001', own.url),
      replicas: replicas.map((url) => as('login_p0001', url)),
      failoverTimeoutMs: 600_000,
      acquireTimeoutMs: 600_000,
    })
    const refused = { code: 'P0001', message: 'not you' }
    for (let i = 0; i < 3; i += 1) {
      expect(await rejection(pool.query('insert into item values (2)'))).toMatchObject(refused)
      expect(await rejection(pool.withTransaction((tx) => tx.query('select 1')))).toMatchObject(refused)
      expect(await rejection(pool.listen('news', () => undefined))).toMatchObject(refused)
    }
  })
})
