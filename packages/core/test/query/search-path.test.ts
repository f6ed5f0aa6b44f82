import { startFaultProxy } from '@pg-lifeguard/testing'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createPool, type Pool } from '../../src/index.js'
import { useCluster } from '../support/test-cluster.js'
import { eventually, rejection } from '../support/test-pool.js'

/**
 * A schema that holds another one of everything that the server has in pg_catalog and the library might use: every function
 * and operator on plain types, and types and tables by name. Whoever finds one of them draws a number, which no rollback
 * takes back.
 */
const shadows = `
  create table item (id int primary key, name text, version int not null default 1);
  insert into item values (1, 'one');
  create schema evil;
  create sequence evil.called;
  create function evil.shadow() returns pg_catalog.bool language plpgsql as
    $$ begin perform pg_catalog.nextval('evil.called'); raise exception 'a shadow was called'; end $$;
  do $do$
  declare one record; body pg_catalog.text := 'begin perform evil.shadow(); return null; end';
  begin
    for one in
      select p.oid, p.proname, pg_get_function_identity_arguments(p.oid) as args, format_type(p.prorettype, null) as result, p.proretset
      from pg_proc p
      where p.pronamespace = 'pg_catalog'::regnamespace and p.prokind = 'f'
        and (p.proname like 'pg\\_%' or p.proname in ('set_config', 'current_setting', 'current_database', 'clock_timestamp', 'left', 'ceil', 'split_part', 'starts_with', 'format_type', 'now'))
        and p.proname not like 'pg\\_toast%'
        and not exists (select from unnest(p.proargtypes) t(oid) join pg_type y on y.oid = t.oid where y.typtype = 'p')
        and not exists (select from pg_type y where y.oid = p.prorettype and y.typtype = 'p' and y.typname not in ('void'))
        and p.proargmodes is null
    loop
      execute format('create function evil.%I(%s) returns %s %s language plpgsql as %L', one.proname, one.args,
        case when one.proretset then 'setof' else '' end, one.result,
        case when one.proretset or one.result = 'void' then 'begin perform evil.shadow(); end' else body end);
    end loop;
    for one in
      select o.oid, o.oprname, format_type(o.oprleft, null) as l, format_type(o.oprright, null) as r, format_type(o.oprresult, null) as result
      from pg_operator o join pg_type a on a.oid = o.oprleft join pg_type b on b.oid = o.oprright
      where o.oprnamespace = 'pg_catalog'::regnamespace and o.oprname in ('=', '<>', '<', '>', '<=', '>=', '+', '-', '*', '||', '~~')
        and a.typtype <> 'p' and b.typtype <> 'p'
    loop
      execute format('create function evil.op_%s(l %s, r %s) returns %s language plpgsql as %L', one.oid, one.l, one.r, one.result, body);
      execute format('create operator evil.%s (leftarg = %s, rightarg = %s, procedure = evil.op_%s)', one.oprname, one.l, one.r, one.oid);
    end loop;
    -- Better than any of the server's own for what is written without a cast.
    execute format('create function evil.pg_advisory_lock(k int4) returns void language plpgsql as %L', 'begin perform evil.shadow(); end');
    execute format('create function evil.pg_advisory_unlock(k text) returns bool language plpgsql as %L', body);
    foreach one.oprname in array array['text', 'int4', 'int8', 'float8', 'xid8', 'xid', 'oid', 'numeric'] loop
      execute format('create domain evil.%I as pg_catalog.%I check (evil.shadow())', one.oprname, one.oprname);
    end loop;
    foreach one.oprname in array array['pg_locks', 'pg_stat_activity', 'pg_database', 'pg_stat_wal_receiver'] loop
      execute format('create view evil.%I as select *, evil.shadow() as shadow from pg_catalog.%I', one.oprname, one.oprname);
    end loop;
  end $do$;
  create domain evil.bit as pg_catalog.bit(32) check (evil.shadow());
`

const bench = useCluster(shadows, { replicas: 1 })
let watcher: Pool
beforeAll(() => {
  watcher = createPool({ connectionString: bench().database.url, max: 2 })
})
afterAll(() => watcher.end())

const evil = { settings: { search_path: 'evil, public, pg_catalog' } } as const
const called = async (): Promise<unknown> => (await watcher.query('select is_called from evil.called')).rows[0]

/** Hides what the session itself has put in the way, too. */
async function besidesTemporary(pool: Pool): Promise<void> {
  await pool.query('create temp table if not exists pg_locks (locktype text)')
  await pool.query('create temp table if not exists pg_stat_activity (pid int)')
}

describe('with shadows of everything at the front of the search_path', () => {
  test('the shadows are there: what names no schema finds them', async () => {
    const pool = bench().pool({ ...evil, replicas: [] })
    for (const text of [
      'select pg_backend_pid()',
      'select 1 = 1',
      "select 'a'::text",
      'select from pg_locks',
      "select 'a' || 'b'",
    ]) {
      expect((await rejection(pool.query(text))).message).toContain('a shadow was called')
    }
    expect(await called()).toEqual({ is_called: true })
    await watcher.query("select setval('evil.called', 1, false)")
    expect(await called()).toEqual({ is_called: false })
  })

  test('locks of all kinds, waits, deadlock watches, heartbeats, elections and the listing', async () => {
    // Two of them in the 300 ms below; a busy machine takes its time to answer one.
    const own = { ...evil, replicas: [], max: 8, locks: { heartbeatMs: 140 } }
    const [pool, other] = [bench().pool(own), bench().pool(own)]
    await besidesTemporary(pool)
    for (const scope of ['session', 'transaction'] as const) {
      for (const mode of ['exclusive', 'shared'] as const) {
        for (const key of ['name', 7n, [1, 2] as const, ['a', 'b', 3n]]) {
          expect(await pool.withLock(key, async () => 'in', { scope, mode, waitMs: 5_000 })).toBe('in')
        }
      }
      // One that waits, with its bounds, and one under another lock, which the watch for deadlocks looks at.
      const held = await other.acquireLock(['k', 'l'])
      const waiting = pool.withLock('around', () =>
        pool.withLock(['k', 'l'], async () => 'in', { scope, waitMs: 30_000 }),
      )
      await eventually('it waits', async () => (await pool.listLocks()).some(({ granted }) => !granted))
      await watcher.query('select pg_sleep(1.2)')
      await held.release()
      expect(await waiting).toBe('in')
    }
    expect(await pool.tryWithLock('k', async () => 'in')).toEqual({ acquired: true, value: 'in' })
    expect(await pool.withSemaphore('s', 2, async () => 'in')).toBe('in')
    let second: Promise<string> | undefined
    await pool.withMigrationLock(async (lock) => {
      second = other.withMigrationLock(async () => 'second')
      await lock.withTransaction((tx) => tx.query('select 1'))
      // Some heartbeats.
      await watcher.query('select pg_sleep(0.3)')
      expect(lock.signal.aborted).toBe(false)
    })
    expect(await second).toBe('second')
    const candidacy = pool.elect(
      'leader',
      ({ signal }) => new Promise((resolve) => signal.addEventListener('abort', resolve)),
    )
    await eventually('it leads', () => candidacy.isLeader)
    await candidacy.stop()
    await pool.withTransaction((tx) => tx.query('select 1'), {
      locks: ['t', 5n],
      statementTimeoutMs: 1_000,
      lockTimeoutMs: 900,
    })
    expect(await called()).toEqual({ is_called: false })
  })

  test('the proof of a commit, and the end of the session that it was lost with', async () => {
    await using proxy = await startFaultProxy({ target: bench().database.url })
    const pool = bench().pool({ ...evil, connectionString: proxy.url, replicas: [], max: 2 })
    for (const when of ['before', 'after'] as const) {
      await proxy.rule({ statement: 'COMMIT', when, action: 'cut' })
      const value = await pool.withTransaction(
        async (tx) => {
          await tx.query('insert into item (id, name) values ($1, $2) on conflict do nothing', [
            when === 'after' ? 10 : 11,
            when,
          ])
          return when
        },
        { proveCommit: true },
      )
      expect(value).toBe(when)
    }
    expect(await called()).toEqual({ is_called: false })
  })

  test('reads on replicas, causal tokens and health', async () => {
    const pool = bench().pool(evil)
    let token: string | undefined
    await pool.withCausality(undefined, async () => {
      await pool.query('insert into item (id, name) values (20, $1)', ['causal'])
      token = await pool.causalToken()
    })
    expect(token).toBeDefined()
    const roles: string[] = []
    pool.on('route', ({ role }) => void roles.push(role))
    await eventually('a replica is read from', async () => {
      await pool.withCausality(token, () => pool.read(async () => await pool.query('select name from item')))
      return roles.includes('replica')
    })
    expect((await pool.health()).status).toBe('up')
    expect(await called()).toEqual({ is_called: false })
  })

  test('notifications, versions, batches, COPY, settings, cursors and the reset of connections', async () => {
    const pool = bench().pool({ ...evil, replicas: [], resetOnRelease: 'full' })
    const heard: string[] = []
    const subscription = await pool.listen('news', (payload) => void heard.push(payload))
    await pool.notify('news', 'hello')
    await eventually('it is heard', () => heard.includes('hello'))
    await subscription[Symbol.asyncDispose]()
    expect(await pool.updateVersioned('public.item', { id: 1, version: 1 }, { name: 'two' })).toMatchObject({
      version: 2,
    })
    expect(await pool.batch([{ text: 'select name from item where id is null' }, { text: 'select 1' }])).toHaveLength(2)
    await pool.copyFrom({ table: 'public.item', columns: ['id', 'name'] }, [[30, 'copied']])
    for await (const _ of pool.copyTo({ table: 'public.item' }));
    for await (const _ of pool.stream('select name from item'));
    await pool.withTransaction(
      async (tx) => {
        await tx.withTransaction((inner) => inner.query('select 1'))
        await tx.query('select 1')
      },
      {
        settings: { 'app.tenant': '7' },
        isolation: 'serializable',
        readOnly: true,
        deferrable: true,
        idleTimeoutMs: 9_000,
      },
    )
    const connection = await pool.acquire()
    connection.release()
    expect(await called()).toEqual({ is_called: false })
  })
})
