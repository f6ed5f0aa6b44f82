import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { beforeEach, describe, expect, test } from 'vitest'
import type { Pool } from '../../src/index.js'
import { sql } from '../../src/index.js'
import { rejection, testPool } from '../support/test-pool.js'

const role = `tenant_${process.pid}`
const database = useDatabase({
  setup: `create table orders (id int primary key, tenant_id text not null);
    insert into orders values (1, 'a'), (2, 'b');
    create policy tenant on orders using (tenant_id = current_setting('app.tenant_id'));
    alter table orders enable row level security;
    do $$ begin create role ${role}; exception when duplicate_object then null; end $$;
    grant select on orders to ${role}`,
})

let pool: Pool
beforeEach(() => {
  pool = testPool(database.url, { max: 1 })
})

const ids = async (): Promise<unknown[]> =>
  (await pool.query<{ id: number }>('select id from orders order by id')).rows.map(({ id }) => id)

describe('the role and settings of a transaction', () => {
  test('hold for all in it, and for nothing after it on the same connection', async () => {
    const of = (tenant: string): Promise<unknown[]> =>
      pool.withTransaction(() => ids(), { role, settings: { 'app.tenant_id': tenant } })
    expect(await of('a')).toEqual([1])
    expect(await of('b')).toEqual([2])
    expect(await of("a' or '1'='1")).toEqual([])
    expect(await ids()).toEqual([1, 2])
  })

  test('that are mistyped or missing never run the callback with the rights of the login role', async () => {
    const wrong = [
      { rol: role },
      { role: undefined },
      { role: null },
      { role: 'none' },
      { role, setings: { 'app.tenant_id': 'a' } },
      { role, settings: undefined },
      { role, settings: { 'app.tenant_id': undefined } },
    ]
    for (const options of wrong) {
      const seen: unknown[] = []
      await rejection(pool.withTransaction(async () => seen.push(await ids()), options as never))
      expect(seen).toEqual([])
    }
  })

  test('are no sandbox: SQL text can take them back, as the documentation says', async () => {
    const seen = await pool.withTransaction(
      async (tx) => {
        await tx.query('reset role')
        return await ids()
      },
      { role, settings: { 'app.tenant_id': 'a' } },
    )
    expect(seen).toEqual([1, 2])
  })
})

describe('literals of copyTo', () => {
  const nasty = [
    "é'; drop table orders; --",
    "\u0083\\'x",
    "表\\'||current_user||'",
    "ア'",
    '\\',
    '\ud800',
    '𝒳\\',
    "''",
    '\u{10ffff}',
  ]

  test.each(['UTF8', 'SJIS', 'BIG5', 'GBK', 'UHC', 'LATIN1'])(
    'end where they should in a session in %s',
    async (encoding) => {
      await using connection = await pool.acquire()
      await connection.query(`set client_encoding = '${encoding}'`)
      await connection.query('set standard_conforming_strings = off')
      for (const value of nasty) {
        let text = ''
        const asked = sql`select length(x), x = ${'other'} from (select ${value}::text as x) as one`
        try {
          for await (const chunk of connection.copyTo(asked)) text += String(chunk)
        } catch (error) {
          // The Bind that goes ahead is in the session's encoding, in which UTF-8 may be no text at all: then nothing ran.
          expect((error as { code?: string }).code).toMatch(/^22(021|P05)$/)
          continue
        }
        expect(text, JSON.stringify(value)).toBe(`${[...value].length}\tf\n`)
      }
      await connection.query("set client_encoding = 'UTF8'")
      expect((await connection.query('select count(*)::int as n from orders')).rows).toEqual([{ n: 2 }])
      connection.release({ discard: true })
    },
  )
})
