import { execFile } from 'node:child_process'
import { inspect, isDeepStrictEqual, promisify } from 'node:util'
import { deserialize } from 'node:v8'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import pg from 'pg'
import { beforeAll, expect, test } from 'vitest'
import { onServer } from '../support/test-cluster.js'
import { named, ownTypes, values } from '../support/values-of-types.js'

const database = useDatabase()
const index = new URL('../../dist/index.js', import.meta.url)

beforeAll(async () => {
  for (const text of ownTypes) await onServer(database.url, text)
})

/** Each would show, should it ever be run as code, or read as another string than it is. */
const hostile = [
  '__proto__',
  'constructor',
  'hasOwnProperty',
  '"]: (globalThis.wasRun = true), ["',
  "'+(globalThis.wasRun=true)+'",
  `\`\${globalThis.wasRun = true}\``,
  '}; globalThis.wasRun = true; //',
  '*/ globalThis.wasRun = true /*',
  '[globalThis.wasRun = true]',
  '\\u0022: globalThis.wasRun = true, \\u0022',
  '\n\u2028globalThis.wasRun = true\u2029',
  '\\',
  '0',
  '-1',
  'r0',
  'v0',
  'b',
  'stop',
  'miscounted',
]

/** So many that what reads them is compiled. */
const many = 'from generate_series(1, 100)'
const queries = [
  ...Object.values(values).map((list) => `${named(list)} ${many}`),
  `select ${hostile.map((name, n) => `${n} as ${pg.escapeIdentifier(name)}`).join()} ${many}`,
  ...hostile.map((name) => `select 1 as ${pg.escapeIdentifier(name)}, now() is null as other ${many}`),
  `select 1 as a, null as b, 2 as a ${many}`,
  // More columns than are compiled.
  `select ${Array.from({ length: 300 }, (_, n) => `${n} as c${n}`).join()} ${many}`,
  `select ${many}`,
]

/** Runs the queries in every way, and says what came of it and how often code was made of a text. */
const program = `
  const made = []
  globalThis.Function = new Proxy(Function, {
    construct(target, given, as) {
      const code = Reflect.construct(target, given, as)
      made.push(String(given.at(-1)))
      return code
    },
  })
  const { serialize } = await import('node:v8')
  const { createPool } = await import(${JSON.stringify(index.href)})
  const pool = createPool({ connectionString: process.env.DATABASE, max: 1 })
  const rows = []
  for (const text of ${JSON.stringify(queries)}) {
    for (const rowMode of [undefined, 'array']) {
      // As text at first, then as prepared, then with columns that are known.
      for (let run = 0; run < 3; run++) rows.push((await pool.query({ text, rowMode })).rows)
    }
    const streamed = []
    for await (const row of pool.stream({ text })) streamed.push(row)
    rows.push(streamed, (await pool.batch([{ text }])).map((result) => result.rows))
  }
  await pool.end()
  const columns = rows.map(([first]) => Object.keys(first))
  process.stdout.write(serialize({ rows, columns, made, wasRun: globalThis.wasRun }).toString('base64'))`

interface Account {
  readonly rows: unknown[]
  /** The names of the columns of each, in their order. */
  readonly columns: unknown[]
  readonly made: readonly string[]
  readonly wasRun: unknown
}

async function run(...flags: readonly string[]): Promise<Account> {
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, '--input-type=module', '--eval', program], {
    env: { ...process.env, DATABASE: database.url, NODE_OPTIONS: '', TZ: 'America/St_Johns' },
    maxBuffer: 1_073_741_824,
  })
  return deserialize(Buffer.from(stdout, 'base64')) as Account
}

test('where no code may be made of text, rows are the same as where their readers are compiled', async () => {
  const [compiled, interpreted] = await Promise.all([run(), run('--disallow-code-generation-from-strings')])
  // What is compared are two ways: the one makes code for nearly every query, the other none at all.
  expect(compiled.made.length).toBeGreaterThanOrEqual(queries.length)
  expect(interpreted.made).toEqual([])
  expect(compiled.rows).toHaveLength(queries.length * 8)
  expect(interpreted.rows).toHaveLength(queries.length * 8)
  for (const [n, rows] of compiled.rows.entries()) {
    const found = interpreted.rows[n]
    // Not `toStrictEqual`, which takes a column called `constructor` for the class of the row.
    if (!isDeepStrictEqual(found, rows)) {
      expect.unreachable(`${queries[Math.floor(n / 8)]}: ${inspect(found)}, not ${inspect(rows)}`)
    }
  }
  expect(interpreted.columns).toEqual(compiled.columns)
  for (const { wasRun } of [compiled, interpreted]) expect(wasRun).toBeUndefined()
  // The names of columns are in that code as strings alone.
  expect(compiled.made.some((code) => code.includes('wasRun'))).toBe(true)
  for (const code of compiled.made) expect(code.replaceAll(/"(?:[^"\\]|\\.)*"/g, '')).not.toContain('wasRun')
}, 120_000)
