import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { afterAll, describe, expect, test } from 'vitest'
import { type Pool, sql } from '../../src/index.js'
import { onServer } from '../support/test-cluster.js'
import { testPool } from '../support/test-pool.js'

const database = useDatabase()

/** What may end a literal too early, or hide its end: where a byte of another character takes the next one. */
const nasty = [
  "'; drop table kept; --",
  "表'||current_user||'",
  "\u0083\\'",
  '\\',
  "\\'",
  'ア\\',
  '가\\',
  "''",
  '한글',
  'é',
]

const encodings = ['EUC_KR', 'EUC_JP', 'EUC_CN', 'EUC_TW', 'LATIN1', 'SQL_ASCII', 'UTF8'] as const

const nameOf = (encoding: string): string => `enc_${encoding.toLowerCase()}_${process.pid}`
afterAll(async () => {
  for (const encoding of encodings) await onServer(database.url, `drop database if exists ${nameOf(encoding)}`)
})

describe.each(encodings)('in a database in %s', (encoding) => {
  const open = async (settings: Record<string, string>): Promise<Pool> => {
    const name = nameOf(encoding)
    const there = await onServer(database.url, `select from pg_database where datname = '${name}'`)
    if (there.length === 0) {
      await onServer(database.url, `create database ${name} template template0 encoding '${encoding}' locale 'C'`)
    }
    const pool = testPool(Object.assign(new URL(database.url), { pathname: `/${name}` }).href, { settings })
    await pool.query('create table if not exists kept as select 1 as id')
    return pool
  }

  test.each(['on', 'off'])('a literal of copyTo is the value, with standard_conforming_strings %s', async (setting) => {
    const pool = await open({ standard_conforming_strings: setting, escape_string_warning: 'off' })
    for (const value of nasty) {
      let text = ''
      const asked = sql`select x = ${value}, ${'other'} from (select ${value}::text as x) as one`
      try {
        for await (const chunk of pool.copyTo(asked)) text += String(chunk)
        expect(text, JSON.stringify(value)).toBe('t\tother\n')
      } catch (error) {
        // A character that the database does not have, or, in SQL_ASCII, any that is not ASCII: it says so, and nothing of
        // the statement ran.
        expect((error as { code?: string }).code, JSON.stringify(value)).toMatch(/^(22P05|22021|0A000)$/)
        expect(encoding, JSON.stringify(value)).not.toBe('UTF8')
      }
      const { rows } = await pool.query('select count(*)::int as n from kept')
      expect(rows).toEqual([{ n: 1 }])
    }
  })

  test('a parameter is the value, or is refused', async () => {
    const pool = await open({})
    for (const value of nasty) {
      const found = await pool.query<{ x: string }>('select $1::text as x', [value]).then(
        ({ rows }) => rows[0]?.x,
        (error: { code?: string }) => error.code,
      )
      if (encoding === 'UTF8' || encoding === 'SQL_ASCII') expect(found).toBe(value)
      else expect([value, '22P05', '22021']).toContain(found)
    }
  })
})
