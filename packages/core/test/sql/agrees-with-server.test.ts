import { useDatabase } from '@pg-lifeguard/testing/vitest'
import fc from 'fast-check'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { effectOf, mayHoldMoment } from '../../src/sql/prepared-statements.js'
import { isReadOnlyText } from '../../src/sql/read-rule.js'
import { sqlText } from '../../src/sql/sql-text.js'
import { firstWords } from '../../src/sql/transaction-control.js'
import { longEnough, randomFrom, seeded } from '../support/seeded.js'

const database = useDatabase({
  setup: 'create table t (a int, "insert" int, "begin" int, "end" int); create table u (a int); create schema other',
})
let client: pg.Client
let answers: NodeJS.EventEmitter
let status = 'I'
beforeAll(async () => {
  client = new pg.Client(database.url)
  client.on('error', () => undefined)
  await client.connect()
  answers = (client as unknown as { connection: NodeJS.EventEmitter }).connection
  answers.prependListener('readyForQuery', (message: { status: string }) => {
    status = message.status
  })
})
afterAll(() => client.end())

/** What the server said to a text. */
interface Said {
  readonly tags: readonly string[]
  readonly error: (Error & { readonly code?: string }) | undefined
  readonly copiesIn: boolean
  readonly status: string
}

interface Wire {
  query(text: string): void
  parse(message: { text: string }): void
  bind(message: object): void
  execute(message: object): void
  sync(): void
  sendCopyFail(why: string): void
}

/** Runs a text as one message of the simple protocol, or as one statement of the extended one. */
function ask(text: string, protocol: 'simple' | 'extended'): Promise<Said> {
  return new Promise((resolve) => {
    const tags: string[] = []
    let error: Said['error']
    let copiesIn = false
    const end = (): void => resolve({ tags, error, copiesIn, status })
    const nothing = (): void => undefined
    const submittable = {
      submit(wire: Wire): void {
        if (protocol === 'simple') wire.query(text)
        else {
          wire.parse({ text })
          wire.bind({})
          wire.execute({})
          wire.sync()
        }
      },
      handleCommandComplete: (message: { text: string }) => tags.push(message.text),
      handleError: (said: Error) => {
        error ??= said
        // For `pg` the query is done now; the server says a last word.
        answers.once('readyForQuery', end)
      },
      handleReadyForQuery: end,
      handleCopyInResponse: (wire: Wire) => {
        copiesIn = true
        wire.sendCopyFail('there is no data')
        // In the midst of a COPY the server does not hear a Sync.
        if (protocol === 'extended') wire.sync()
      },
      handleRowDescription: nothing,
      handleDataRow: nothing,
      handleEmptyQuery: nothing,
      handlePortalSuspended: nothing,
      handleCopyData: nothing,
      handleParseComplete: nothing,
      handleBindComplete: nothing,
    }
    client.query(submittable as unknown as pg.Submittable)
  })
}

/** What decides about the meaning of statements, and that a text of this test can change. */
async function meaningNow(): Promise<unknown> {
  const { rows } = await client.query(
    `select pg_catalog.current_setting('search_path') as path,
      (select pg_catalog.array_agg(oid::text order by oid) from pg_catalog.pg_class where relkind in ('r', 'v')) as tables,
      (select pg_catalog.count(*) from pg_catalog.pg_proc) as functions`,
  )
  return rows[0]
}

const undo = `drop table if exists public.made, other.made; drop function if exists public.made(), other.made();
  drop rule if exists made on u; truncate t, u`

async function cleanUp(): Promise<void> {
  await client.query('rollback')
  const { rowCount } = await client.query('select from pg_prepared_xacts where database = current_database()')
  if (rowCount === 1) await client.query("rollback prepared 'a'")
  for (const text of ['discard all', undo]) await client.query(text)
}

// What texts are made of.

type Choose = <T>(choices: readonly T[]) => T

function choosing(seed: number): Choose {
  const random = randomFrom(seed)
  return (choices) => choices[Math.floor(random() * choices.length)] as (typeof choices)[number]
}

const noise = [
  ...[' ', '\n', '\t', '\r', '\r\n', '\f', '/**/', '/* ; commit */', '/* /* */ begin; */', "/*'*/", '/*"*/', '/*$$*/'],
  ...['--\n', '-- ; commit\r', "--'\r\n", '--/*\n', '--"\u2028\n', ' /*/ */ '],
]
const between = [' ', ' ', ' ', ...noise]
const literal = [
  ...["'a'", "''", "'it''s; commit'", "'--'", "'/*'", "'$$'", "'a\\'", "E'\\'; commit; --'", "e'\\\\'", "E'a''b\\''"],
  ...["'a'\n'; b'", "'a' -- ; '\r'b'", "e'a'\n'\\'; b'", "U&'\\0061;'", "N'; x'", "B'01'", "X'1f'"],
  ...['$$;$$', '$t$ $$ ; \' "$t$', '$\u00e9$;$\u00e9$', '$a$ $A$ $a$', '1', '.5', '1.e1', '1e-1', '-1', '1_0'],
  ...["'unended", "E'unended\\'", '$x$unended', '/* unended', '"unended', '1into', '$', '\\'],
]
const label = [
  ...[
    'a',
    '"a;b"',
    '"it""s"',
    'U&"d\\0061t"',
    '"select"',
    '\u212a',
    '\u00e9',
    'ro\u212a',
    'a$b$c',
    'x\u00a0y',
    '_1',
    'end',
    'case',
  ],
]
/** Words are cased at random; LITERAL and LABEL stand for one of those. */
const statement = [
  ...['select LITERAL', 'select LITERAL , LITERAL', 'select LITERAL as LABEL', 'select 1 LABEL', '( select LITERAL )'],
  ...[
    '( ( select 1 ) union select 2 )',
    'values ( LITERAL )',
    'table t',
    'with a as ( select LITERAL ) select * from a',
  ],
  ...[
    'select t . begin from t',
    'select t . end , t . insert from t',
    'select begin from t',
    'select case when true then 1 end',
  ],
  ...[
    'insert into t values ( 1 )',
    'with a as ( insert into t values ( 1 ) returning a ) select a from a',
    'delete from t',
  ],
  ...[
    'with a as ( select 1 ) insert into t select * from a',
    'update t set a = 2',
    'merge into t using u on true when matched then do nothing',
  ],
  ...[
    'select 1 as LABEL into made',
    'select insert into made from t',
    'select t . insert into temp made from t',
    'select ( 1 ) insert into made',
  ],
  ...['with a as ( select 1 as x ) select x INTO made from a', 'select LITERAL as a into local temporary made'],
  ...[
    'create table made ( a int )',
    'create temp table made ( a int )',
    'create table made as select LITERAL as x',
    'create local temporary table made as select 1 as x',
  ],
  ...["select set_config ( 'search_path' , 'other' , false )", "select set_config ( 'work_mem' , '4MB' , false )"],
  ...[
    "select pg_catalog . set_config ( E'search\\x5fpath' , 'other' , false )",
    "select \"set_config\" ( 'search_path' , 'other' , false )",
  ],
  ...[
    "select U&\"set\\005fconfig\" ( 'search_path' , 'other' , false )",
    "select set_config ( name , 'other' , false ) from pg_settings where name = 'search_path'",
  ],
  ...[
    "update pg_settings set setting = 'other' where name = 'search_path'",
    "explain analyze select set_config ( 'search_path' , 'other' , false )",
  ],
  ...[
    'set search_path = other',
    'set local search_path = other',
    'set session search_path to other',
    'set work_mem = 65536',
  ],
  ...[
    'set "search_path" = other',
    "set schema 'other'",
    'reset search_path',
    'set session characteristics as transaction read write',
  ],
  ...[
    "do $$ begin perform set_config('search_path', 'other', false); end $$",
    "do language plpgsql 'begin create table made (); end'",
    'do $x$ begin end $x$',
  ],
  ...[
    'begin',
    'begin work',
    'begin transaction isolation level serializable',
    'start transaction',
    'start transaction read only',
  ],
  ...[
    'commit',
    'commit work',
    'end',
    'end transaction',
    'rollback',
    'abort',
    'commit and chain',
    'rollback and no chain',
    'abort work and chain',
  ],
  ...['savepoint a', 'rollback to savepoint a', 'rollback work to a', 'release a', "prepare transaction 'a'"],
  ...[
    'copy t from stdin',
    'copy t ( a ) from stdin with ( format csv )',
    "copy ( select set_config ( 'search_path' , 'other' , false ) ) to stdout",
    'copy t to stdout',
  ],
  ...[
    'create function made ( ) returns int begin atomic select 1 ; select 1 end ; end',
    'create or replace function made ( ) returns int begin atomic select case when true then 1 end ; end',
  ],
  ...[
    'create function made ( ) returns int language sql as LITERAL',
    'create rule made as on insert to u do also ( delete from t ; delete from t )',
  ],
  ...[
    'select 1 for update',
    'select * from t for share',
    'select * from t for no key update',
    'explain insert into t values ( 1 )',
    'show search_path',
  ],
  ...[
    'prepare p as select 1',
    'deallocate all',
    'declare c cursor for select 1',
    'lock table t',
    'be\u212ain',
    'bac\u212a',
    'select1',
    '\ufeffselect 1',
  ],
]

function written(words: string, one: Choose): string {
  return words
    .split(' ')
    .map((word) => {
      if (word === 'LITERAL') return one(literal)
      if (word === 'LABEL') return one(label)
      if (!/^[a-z_]+$/.test(word)) return word
      const how = one([0, 1, 2, 3])
      if (how === 0) return word.toUpperCase()
      return how === 1 ? word.replace(/(?<=^.?)[a-z]/g, (letter) => letter.toUpperCase()) : word
    })
    .reduce((text, word) => text + one(between) + word)
}

function aText(one: Choose): string {
  const count = one([1, 1, 1, 2, 2, 3])
  let text = one(['', '', '', ';', '--\r', '/* a */', '\n'])
  for (let n = 0; n < count; n++) {
    if (n > 0) text += one([';', ';', ' ; ', ';;', ';--\r', '/*;*/;'])
    text += written(one(statement), one)
  }
  return text + one(['', '', ';', ' ; ;', ' -- ;', ';/* a */', ';--\r', '\f'])
}

const kinds: Readonly<Record<string, readonly string[]>> = {
  values: ['SELECT'],
  table: ['SELECT'],
  with: ['SELECT', 'INSERT'],
  start: ['START'],
  end: ['COMMIT', 'ROLLBACK'],
  commit: ['COMMIT', 'ROLLBACK'],
  abort: ['ROLLBACK'],
  create: ['CREATE', 'SELECT'],
  set: ['SET'],
  // Outside of a transaction there is nothing to prepare.
  prepare: ['PREPARE', 'ROLLBACK'],
}
const firstOf = (words: string): string => words.split(' ')[0] ?? ''

async function agree(text: string): Promise<void> {
  const before = await meaningNow()
  const said = await ask(text, 'simple')
  const isDone = said.error === undefined
  const { control, effects, heads: written, meaning } = sqlText(text)
  const heads = written.map((head) => head.replace(/^(?:\( )+/, ''))

  // How many statements there are, and what they are.
  if (isDone) expect(heads.length, 'statements').toBe(said.tags.length)
  else expect(heads.length, 'statements').toBeGreaterThanOrEqual(said.tags.length)
  for (const [at, tag] of said.tags.entries()) {
    const word = firstOf(heads[at] ?? '')
    expect(kinds[word] ?? [word.toUpperCase()], `statement ${at}`).toContain(firstOf(tag))
  }
  const [first] = said.tags
  if (first !== undefined) {
    expect(firstOf(firstWords(text, 2))).toBe(firstOf(heads[0] ?? ''))
    expect(meaning.holdsSeveral || heads.length === 1, 'several').toBe(true)
  }

  // What it does to transactions.
  if (isDone) expect(effects.leavesOpen, 'leaves a transaction open').toBe(said.status !== 'I')
  const ends = said.tags.filter(
    (tag, at) =>
      tag === 'COMMIT' ||
      tag === 'PREPARE TRANSACTION' ||
      (tag === 'ROLLBACK' && !/^rollback (?:work )?to /.test(heads[at] ?? '')),
  )
  if (ends.length > 0) {
    expect(effects.endsTransaction, 'ends a transaction').toBe(true)
    expect(effects.commitsByItself).toBe(true)
  } else if (isDone) expect(effects.endsTransaction, 'ends a transaction').toBe(false)
  const controls = ends.length > 0 || said.tags.some((tag) => tag === 'BEGIN' || tag === 'START TRANSACTION')
  if (isDone || controls) expect(control !== undefined, 'controls a transaction').toBe(controls)

  if (said.copiesIn && heads.length === 1) expect(firstWords(text, 1)).toBe('copy')

  // What it does to the meaning of statements, where that has lasted.
  if (said.status === 'I') {
    const after = await meaningNow()
    const isNoted = said.tags.some((tag) => effectOf(tag, meaning) !== 'none')
    if (JSON.stringify(after) !== JSON.stringify(before)) expect(isNoted, 'changes a meaning').toBe(true)
  }
  if (meaning.isAboutRows && isDone) {
    expect(said.tags).toHaveLength(1)
    expect(firstOf(said.tags[0] ?? '')).toMatch(/^(?:SELECT|INSERT|UPDATE|DELETE|MERGE)$/)
  }
  await cleanUp()

  // As one statement, where the server takes one only.
  const alone = await ask(text, 'extended')
  const isSeveral = /multiple commands/.test(alone.error?.message ?? '')
  if (isSeveral) expect(meaning.holdsSeveral, 'several').toBe(true)
  await cleanUp()

  if (isReadOnlyText(text)) {
    await client.query('begin read only')
    const reading = await ask(text, 'extended')
    expect(reading.error?.code, 'reads only').not.toBe('25006')
    expect(reading.error?.message ?? '').not.toMatch(/multiple commands/)
    expect(reading.tags.filter((tag) => !/^(?:SELECT|SHOW)/.test(tag))).toEqual([])
    await cleanUp()
  }
}

describe('what is read in a text agrees with what the server does', () => {
  test('of statements, transactions, COPY, reads and meanings', { timeout: longEnough(120_000) }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const text = aText(choosing(seed))
        try {
          await agree(text)
        } catch (error) {
          await cleanUp()
          throw new Error(`of ${JSON.stringify(text)}`, { cause: error })
        }
      }),
      { ...seeded(250), endOnFailure: true },
    )
  })

  const spelling = ['plain', 'octal', 'hex', 'unicode', 'wide', 'needless', 'upper', 'apart']
  const escaped = (letter: string, how: string): string => {
    const code = letter.charCodeAt(0)
    switch (how) {
      case 'octal':
        return `\\${code.toString(8).padStart(3, '0')}`
      case 'hex':
        return `\\x${code.toString(16)}`
      case 'unicode':
        return `\\u${code.toString(16).padStart(4, '0')}`
      case 'wide':
        return `\\U${code.toString(16).padStart(8, '0')}`
      case 'needless':
        return /[bfnrtux0-7]/i.test(letter) ? letter : `\\${letter}`
      case 'upper':
        return letter.toUpperCase()
      default:
        return letter
    }
  }

  test('of literals that depend on when they are read', { timeout: longEnough(60_000) }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const one = choosing(seed)
        const word = one(['now', 'today', 'tomorrow', 'yesterday', 'snow', 'noon', '2020-01-01'])
        const padding = one(['', ' ', '\\n', '\\t', '\n', '[', "''"])
        const form = one(['E', 'e', '', 'U&', '$'])
        let said = form === '$' && padding.includes('\\') ? '' : padding
        for (const letter of word) {
          const how = one(spelling)
          if (how === 'apart' && form !== '$') said += one(["'\n'", "' --x\r'", "'\r\n\t'"])
          else if (form === 'E' || form === 'e') said += escaped(letter, how)
          else if (form === 'U&')
            said += how === 'hex' ? `\\${letter.charCodeAt(0).toString(16).padStart(4, '0')}` : letter
          else said += how === 'upper' ? letter.toUpperCase() : letter
        }
        if (form !== 'E' && form !== 'e') said = said.replaceAll(/\\[nt]/g, ' ')
        const text = form === '$' ? `select $n$${said}$n$::text as v` : `select ${form}'${said}'::text as v`
        const { rows } = await client.query<{ v: string }>(text)
        if (/(?<![a-z])(?:now|today|tomorrow|yesterday)(?![a-z])/i.test(rows[0]?.v ?? '')) {
          expect(mayHoldMoment(text), JSON.stringify(text)).toBe(true)
        } else if (!/^(?:u&|.*'[^']*[\n\r])/is.test(text.slice('select '.length))) {
          expect(mayHoldMoment(text), JSON.stringify(text)).toBe(false)
        }
      }),
      { ...seeded(300), endOnFailure: true },
    )
  })
})
