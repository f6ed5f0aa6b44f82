import { describe, expect, test } from 'vitest'
import { StatementCache, StatementTexts } from '../../src/connection/statement-cache.js'
import { BatchError } from '../../src/errors/transaction-errors.js'
import { effectOfFailed } from '../../src/sql/prepared-statements.js'
import { ReadRule } from '../../src/sql/read-rule.js'
import { mayHoldSeveral, type SqlText, sqlText } from '../../src/sql/sql-text.js'
import { firstEnd, firstWords } from '../../src/sql/transaction-control.js'

/** So long that time in proportion to the square of it would be minutes for each text. */
const characters = 400_000
const filled = (piece: string): string => piece.repeat(characters / piece.length)

const nested = `${filled('/* ')}${filled('*/ ')}`
const texts: Readonly<Record<string, string>> = {
  'a comment': `/*${filled('x')}*/ select 1`,
  'comments in comments': `${nested} begin set`,
  'comments in comments without an end': filled('/*'),
  'comments to the end of the line': `${filled('-- begin\n')}commit`,
  dashes: filled('--'),
  semicolons: `${filled(';')}begin`,
  statements: filled('begin;'),
  'opening parentheses': `${filled('(')}select 1 begin`,
  quotes: `${filled("'")} begin`,
  'quotes in a string': `select '${filled("''")}' begin`,
  strings: `${filled("'a' ")}begin`,
  'strings in parts': `${filled("'a'\n")}begin`,
  'quotes and dashes': `select ${filled("'--")}`,
  'names in quotes': `${filled('"')} begin`,
  dollars: `${filled('$')} begin`,
  'tags of dollar quotes': `${filled('$a$b')} begin`,
  'beginnings of tags': `begin ${filled('$a ')}`,
  'a long tag': `begin $${filled('a')}`,
  'backslashes in E': `select E'${filled('\\')}' begin`,
  'backslashes and quotes in E': `select E'${filled("\\'")}' begin`,
  backslashes: `select '${filled('\\')}' begin`,
  'AND, and no CHAIN': `rollback /*${filled('and ')}*/`,
  'names of settings': `set a = 1 /*${filled('set ')}*/`,
  'blanks after SET': `set ${filled(' ')}`,
  'calls of set_config': `select ${filled("set_config('")}`,
  into: `select ${filled('into ')}`,
  now: `select '${filled('now ')}'`,
  'a long word': `begin${filled('a')}`,
  words: filled('begin '),
  'changing capitals': `${filled('aA')} begin`,
  'CASE in a body': `create function f() begin atomic ${filled('case ')}`,
  'CONCURRENTLY in other words': `create index ${filled('concurrently_ ')}`,
  temp: `create ${filled('temp ')}`,
  numbers: `begin ${filled('1e')}`,
  blanks: `${filled(' ')}begin`,
}

function cacheThatHas(tag: string, sql: SqlText): void {
  const wire = { parsedStatements: {}, submittedNamedStatements: {} }
  new StatementCache(new StatementTexts(0), wire, { now: () => 0 }).done(tag, sql)
}

describe('whoever looks into a text takes time in proportion to its length, and no stack', () => {
  test.each(Object.keys(texts))('%s', { timeout: 60_000 }, (name) => {
    const text = texts[name] as string
    expect(typeof firstWords(text, 3)).toBe('string')
    const sql = sqlText(text)
    expect(typeof sql.effects.commitsByItself).toBe('boolean')
    expect(typeof sql.meaning.isAboutRows).toBe('boolean')
    expect(typeof mayHoldSeveral(text)).toBe('boolean')
    expect(effectOfFailed(sql.meaning)).toBeDefined()
    expect(new StatementTexts(10).of(text).isWorthPreparing).toBe(false)
    expect(sql.isSteady).toBe(false)
    expect(new ReadRule().allows(text)).toBe(false)
    expect(['begin', 'commit', 'rollback', 'prepare', 'mixed', undefined]).toContain(sql.control?.kind)
    expect(sql.deallocatedNames ?? []).toEqual([])
    expect(['COMMIT', undefined]).toContain(firstEnd(sql, ['COMMIT']))
    for (const tag of ['SET', 'CREATE TABLE', 'DO', 'SELECT 1', 'COMMIT', 'ROLLBACK']) cacheThatHas(tag, sql)
    expect(new BatchError(0, text, 1, { cause: new Error('x') }).message.length).toBeLessThan(400)
  })
})

test('a ROLLBACK AND CHAIN is known from any other, comments or not', () => {
  const wire = { parsedStatements: {}, submittedNamedStatements: {} }
  const statement = 'select 1'
  for (const [text, isOther] of [
    ['rollback and chain', true],
    ['ROLLBACK /* a */ AND -- b\n CHAIN', true],
    ['rollback', false],
    ['rollback to savepoint chain', false],
  ] as const) {
    const texts = new StatementTexts(10)
    const cache = new StatementCache(texts, wire, { now: () => 0 })
    texts.of(statement)
    cache.enter('role a')
    const before = cache.automatic(texts.of(statement))
    expect(before).toBeDefined()
    cache.done('ROLLBACK', sqlText(text))
    // With the transaction its role is gone, and what is prepared under it is not what comes next.
    expect(cache.automatic(texts.of(statement)) === before).toBe(!isOther)
  }
})
