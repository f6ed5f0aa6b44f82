import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { describe, expect, test, vi } from 'vitest'
import { StatementTexts } from '../../src/connection/statement-cache.js'
import { isReadOnlyText, ReadRule } from '../../src/sql/read-rule.js'
import { mayHoldSeveral, RecentTexts, SqlText, sqlText } from '../../src/sql/sql-text.js'
import { SqlLexer } from '../../src/sql/tokens.js'
import { firstEnd } from '../../src/sql/transaction-control.js'
import { testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table thing (a int)' })

/** What is read meanwhile: a text for each of its tokens. */
async function tokensRead(work: () => unknown): Promise<string[]> {
  const reading = vi.spyOn(SqlLexer.prototype, 'next')
  try {
    await work()
    return reading.mock.contexts.map((lexer) => (lexer as SqlLexer).sql)
  } finally {
    reading.mockRestore()
  }
}

const texts = [
  "select 'now', e'a\\'b' from t where a = $1",
  'with a as (select 1) select * from a, pg_class',
  "select 'a\\', ' as v; begin; call work(); commit and chain; select 1 --'",
  'begin isolation level serializable; select 1',
  'rollback to savepoint a; rollback; deallocate a; deallocate "B"',
  'deallocate U&"\\0061"',
  'create temp table a as select 1',
  'vacuum',
  '',
]
const facts = [
  'meaning',
  'isAboutRows',
  'isSteady',
  'heads',
  'effects',
  'control',
  'deallocatedNames',
  'reading',
  'mayTakeValues',
] as const satisfies readonly (keyof SqlText)[]

describe('each fact of a text is found once', () => {
  test.each(texts)('of %j, however often it is asked for', async (text) => {
    const sql = new SqlText(text)
    const first = facts.map((fact) => sql[fact])
    expect(
      await tokensRead(() => {
        for (const [at, fact] of facts.entries()) expect(sql[fact], fact).toBe(first[at])
      }),
    ).toEqual([])
  })

  test.each(texts)('of %j, whoever asks', async (text) => {
    const sql = sqlText(text)
    for (const fact of facts) expect(new SqlText(text)[fact], fact).toEqual(sql[fact])
    const read = await tokensRead(() => {
      expect(sqlText(` ${text}`.slice(1))).toBe(sql)
      for (const cacheSize of [0, 10]) expect(new StatementTexts(cacheSize).of(text).sql).toBe(sql)
      for (const primaryOnly of [[], ['t'], ['work']]) {
        new ReadRule({ primaryOnly }).allows(text)
        new ReadRule({ readFunctions: ['f'], primaryOnly }, 'same-server').allows(text)
      }
      isReadOnlyText(text)
      mayHoldSeveral(text)
      firstEnd(sqlText(text), ['ROLLBACK', 'COMMIT'])
    })
    expect(read).toEqual([])
  })

  test('of all that pools run, in whatever way', async () => {
    const pools = [testPool(database.url, { max: 2 }), testPool(database.url, { max: 2, retryReads: false })] as const
    const run = async (): Promise<void> => {
      for (const pool of pools) {
        for (let n = 0; n < 3; n++) await pool.query('select a from thing where a = $1', [1])
        await pool.query('select 1; select 2')
        await pool.query("set application_name = 'a'")
        await pool.withTransaction(async (tx) => {
          await tx.query("select 'begin'; select 3")
          await tx.query('insert into thing values (1)')
        })
        for await (const row of pool.stream('select a, 1 as one from thing limit 3')) expect(row).toBeDefined()
        const shaped = pool.asPgPool()
        await shaped.query('select a as b from thing')
        const client = await shaped.connect()
        for (const text of ['begin', 'select a as c from thing', 'rollback to b', 'commit and chain', 'rollback']) {
          await client.query(text).catch(() => undefined)
        }
        client.release()
      }
    }
    const first = new Set(await tokensRead(run))
    expect(first).toContain('select a as c from thing')
    const again = await tokensRead(run)
    // The statement that ends a stream is another one each time.
    expect(again.filter((text) => first.has(text) || !text.startsWith('close '))).toEqual([])
  })
})

describe('what is remembered of texts is bounded', () => {
  const remembered = (most: number, longest?: number): RecentTexts<{ readonly text: string }> =>
    new RecentTexts((text) => ({ text }), most, longest)

  test('in number: what was not asked for in two generations is forgotten, and nothing else', () => {
    const recent = remembered(100)
    const used = recent.of('used')
    const unused = recent.of('unused')
    for (let n = 0; n < 20_000; n++) {
      recent.of(`select ${n}`)
      if (n % 50 === 0) expect(recent.of('used')).toBe(used)
      expect(recent.size).toBeLessThanOrEqual(200)
    }
    expect(recent.of('unused')).not.toBe(unused)
  })

  test('in characters', () => {
    const recent = remembered(1_000)
    for (let n = 0; n < 1_000; n++) recent.of(`select ${n} /* ${'x'.repeat(16_000)} */`)
    expect(recent.size).toBeGreaterThan(60)
    expect(recent.size * 16_000).toBeLessThanOrEqual(2_000_000)
  })

  test('in the length of one', () => {
    const exactly = 'x'.repeat(16_384)
    const recent = remembered(100)
    expect(recent.of(exactly)).toBe(recent.of(exactly))
    expect(recent.of(`${exactly}x`)).not.toBe(recent.of(`${exactly}x`))
    expect(recent.size).toBe(1)
    expect(sqlText(exactly)).toBe(sqlText(exactly))
    expect(sqlText(`${exactly}x`)).not.toBe(sqlText(`${exactly}x`))
    const shorter = remembered(100, 10)
    expect(shorter.of('x'.repeat(11))).not.toBe(shorter.of('x'.repeat(11)))
    expect(shorter.size).toBe(0)
  })

  test('by the process as a whole', () => {
    const before = sqlText('select once')
    for (let n = 0; n < 4_000; n++) sqlText(`select once, ${n}`)
    expect(sqlText('select once')).not.toBe(before)
  })

  test('and a text that a pool has in use is not read again for that', async () => {
    const pool = new StatementTexts(10)
    const text = "select a from thing where a = 'now'"
    const known = pool.of(text)
    expect(known.sql.isSteady).toBe(false)
    for (let n = 0; n < 4_000; n++) sqlText(`select twice, ${n}`)
    expect(await tokensRead(() => pool.of(text).sql.isSteady)).toEqual([])
    expect(pool.of(text)).toBe(known)
    expect(known.uses).toBe(3)
  })
})
