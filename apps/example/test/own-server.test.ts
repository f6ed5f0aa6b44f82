import { createPool, type Pool } from '@pg-lifeguard/kysely'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { expect, test, vi } from 'vitest'
import type { Report } from '../src/report.js'
import { runDemo, startDemo } from './run-demo.js'

const database = useDatabase()
const schemas = `select nspname as name from pg_namespace where nspname like 'lifeguard_ticket_office_%'`

async function schemasIn(pool: Pool): Promise<string[]> {
  const { rows } = await pool.query<{ name: string }>(schemas)
  return rows.map(({ name }) => name)
}

test('DATABASE_URL: runs in a schema of its own, and leaves the database as it was', async () => {
  await using pool = createPool({ connectionString: database.url })
  await pool.query('create table ticket (mine text)')
  await pool.query(`insert into ticket values ('untouched')`)
  const { code, stdout, stderr } = await runDemo(['oversell', '--json', '--buyers', '80', '--tickets', '20'], {
    DATABASE_URL: database.url,
  })
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const report = JSON.parse(stdout) as Report
  expect(report).toMatchObject({ ok: true, server: { kind: 'DATABASE_URL' } })
  expect(stdout).not.toContain(new URL(database.url).password)
  expect(await schemasIn(pool)).toEqual([])
  expect((await pool.query('select mine from ticket')).rows).toEqual([{ mine: 'untouched' }])
}, 60_000)

test.each(['SIGINT', 'SIGTERM'] as const)(
  'DATABASE_URL: %s in the middle drops the schema',
  async (signal) => {
    await using pool = createPool({ connectionString: database.url })
    const { child, outcome } = startDemo(['oversell', '--json', '--runs', '1000'], { DATABASE_URL: database.url })
    await vi.waitFor(
      async () => {
        const [schema] = await schemasIn(pool)
        expect((await pool.query(`select from ${schema}.ticket limit 1`)).rowCount).toBe(1)
      },
      { timeout: 20_000, interval: 5 },
    )
    child.kill(signal)
    expect(await outcome).toEqual({
      code: null,
      signal,
      stdout: '',
      stderr: 'lifeguard demo: interrupted, tidying up\n',
    })
    expect(await schemasIn(pool)).toEqual([])
  },
  60_000,
)

test('DATABASE_URL: a user who may not create schemas gets an error that says so', async () => {
  await using pool = createPool({ connectionString: database.url })
  await pool.query(`create role ticket_guest login password 'sekret'`)
  try {
    const url = new URL(database.url)
    url.username = 'ticket_guest'
    url.password = 'sekret'
    const { code, stdout, stderr } = await runDemo(['oversell', '--json'], { DATABASE_URL: url.href })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/^lifeguard demo: DATABASE_URL cannot be used: permission denied for database [^\n]+\n$/)
  } finally {
    await pool.query('drop role ticket_guest')
  }
})

test('what does not hold ends with exit code 1 and is said on stderr, in one line each', async () => {
  await using pool = createPool({ connectionString: database.url })
  // A table that takes tickets and keeps none.
  await pool.query(`create function forget_tickets() returns event_trigger language plpgsql as $$
    declare made record;
    begin
      for made in select object_identity as name from pg_event_trigger_ddl_commands() where command_tag = 'CREATE TABLE' loop
        if made.name like '%.ticket' then
          execute format('create rule forget as on insert to %s do instead nothing', made.name);
        end if;
      end loop;
    end $$`)
  await pool.query('create event trigger forget_tickets on ddl_command_end execute function forget_tickets()')
  try {
    const { code, stdout, stderr } = await runDemo(
      ['oversell', '--way', 'for-update', '--buyers', '20', '--tickets', '5', '--orm', 'sql'],
      { DATABASE_URL: database.url },
    )
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr:
        'lifeguard demo: oversell: for-update: it sold 0 tickets, expected 5\n' +
        "lifeguard demo: oversell: for-update: 20 buyer(s) got the answer 'sold' and have no ticket\n",
    })
    expect(stdout).toContain('✗ the correct ways sell exactly 5, each reported to its buyer')
    expect(await schemasIn(pool)).toEqual([])
  } finally {
    await pool.query('drop event trigger forget_tickets')
  }
}, 60_000)
