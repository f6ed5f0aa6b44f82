import { describe, expect, test } from 'vitest'
import type { Package } from '../support/workspace.js'
import {
  driverOutsideConnection,
  laxTests,
  packageCircles,
  sqlStateOutsideErrors,
  timeOutsideDeadline,
  wrongNeighbours,
} from './borders.js'
import { entriesOf, publicAnys, wrongDependencies } from './dependencies.js'
import { importCircles, strayImports, upwardImports } from './floors.js'
import { innerBarrels, longFiles, smallFiles, unnamedExports, wrongFileNames, wrongNames } from './names.js'
import { unqualifiedSql } from './own-sql.js'
import { parseSource, type SourceFile } from './source-file.js'

/** Files of an invented house, by their path. */
function invented(texts: Readonly<Record<string, string>>): SourceFile[] {
  return Object.entries(texts).map(([path, text]) => parseSource(path, text))
}

/** A file of the core by its place in src. */
function core(place: string, text: string): SourceFile[] {
  return invented({ [`packages/core/src/${place}`]: text })
}

const adapter = (text: string): SourceFile[] => invented({ 'packages/kysely/src/index.ts': text })

describe('imports are seen', () => {
  test.each([
    ["import { A } from './a.js'", false],
    ["import './a.js'", false],
    ["import type { A } from './a.js'", true],
    ["import { type A } from './a.js'", true],
    ["import { type A, B } from './a.js'", false],
    ["export { A } from './a.js'", false],
    ["export type { A } from './a.js'", true],
    ["export { type A } from './a.js'", true],
    ["export * from './a.js'", false],
    ["export * as a from './a.js'", false],
    ["const a = await import('./a.js')", false],
    ["type A = import('./a.js').A", true],
  ])('%s', (text, isType) => {
    const [file] = core('observe/b.ts', text)
    expect(file?.imports.map(({ specifier, isType }) => ({ specifier, isType }))).toEqual([
      { specifier: './a.js', isType },
    ])
  })

  test('source that is no TypeScript is an error', () => {
    expect(() => core('observe/b.ts', 'import {')).toThrow('packages/core/src/observe/b.ts does not parse')
  })
})

describe('floors', () => {
  test.each([
    ['errors/a.ts', '../deadline/b.js'],
    ['resilience/a.ts', '../resource-pool/b.js'],
    ['resource-pool/a.ts', '../connection/b.js'],
    ['connection/connect/a.ts', '../../server/b.js'],
    ['server/a.ts', '../transaction/b.js'],
    ['transaction/a.ts', '../lock/b.js'],
    ['pool/a.ts', '../create-pool.js'],
  ])('%s may not import %s, not even a type', (place, specifier) => {
    for (const what of ['{ B }', 'type { B }']) {
      const found = upwardImports(core(place, `import ${what} from '${specifier}'`))
      expect(found).toHaveLength(1)
      expect(found[0]).toContain(`packages/core/src/${place}:1 imports upward: ${specifier}`)
    }
  })

  test.each([
    ['resource-pool/a.ts', '../resilience/b.js'],
    ['pool/a.ts', './b.js'],
    ['transaction/a.ts', '../connection/b.js'],
    ['create-pool.ts', './pool/b.js'],
    ['create-pools.ts', './create-pool.js'],
  ])('%s may import %s', (place, specifier) => {
    expect(upwardImports(core(place, `import { B } from '${specifier}'`))).toEqual([])
  })

  test('a new folder needs a floor', () => {
    expect(upwardImports(core('lanes/a.ts', ''))).toEqual([
      'packages/core/src/lanes/a.ts: its folder is on no floor; give it a place in test/architecture/floors.ts',
    ])
  })

  test('a circle is found, also one of types alone', () => {
    const files = invented({
      'packages/core/src/pool/a.ts': "import type { B } from './b.js'",
      'packages/core/src/pool/b.ts': "import { C } from './c.js'",
      'packages/core/src/pool/c.ts': "type A = import('./a.js').A",
    })
    expect(importCircles(files)).toEqual([
      'a circle: packages/core/src/pool/a.ts -> packages/core/src/pool/b.ts -> packages/core/src/pool/c.ts -> packages/core/src/pool/a.ts',
    ])
    expect(importCircles(files.slice(0, 2))).toEqual([])
  })

  test('an import must lead to a file of the same package', () => {
    const files = invented({
      'packages/kysely/src/a.ts': "import { B } from './b.js'\nimport { C } from '../../core/src/c.js'",
      'packages/core/src/c.ts': '',
    })
    expect(strayImports(files)).toEqual([
      'packages/kysely/src/a.ts:1 imports a file that is not there: ./b.js',
      'packages/kysely/src/a.ts:2 imports from outside of its package: ../../core/src/c.js',
    ])
  })

  test('packages that depend on each other are found', () => {
    const dependencies = new Map([
      ['a', ['b']],
      ['b', ['c', 'pg']],
      ['c', ['a']],
      ['d', ['a']],
    ])
    expect(packageCircles(dependencies)).toEqual(['a depends on itself', 'b depends on itself', 'c depends on itself'])
  })
})

describe('borders', () => {
  test.each([
    "import pg from 'pg'",
    "import type pg from 'pg'",
    "import utils from 'pg/lib/utils.js'",
    "import 'pg-cursor'",
  ])('%s is for connection/', (text) => {
    expect(driverOutsideConnection(core('server/a.ts', text))).toHaveLength(1)
    expect(driverOutsideConnection(adapter(text))).toHaveLength(1)
    expect(driverOutsideConnection(core('connection/a.ts', text))).toEqual([])
  })

  test.each([
    'setTimeout(run, 5)',
    'globalThis.setTimeout(run, 5)',
    'Date.now()',
    'new Date()',
    'performance.now()',
    'AbortSignal.timeout(5)',
    'const random = Math.random',
    "import { setTimeout as sleep } from 'node:timers/promises'",
  ])('%s is for deadline/', (text) => {
    expect(timeOutsideDeadline(core('pool/a.ts', text))).not.toEqual([])
    expect(timeOutsideDeadline(core('deadline/a.ts', text))).toEqual([])
  })

  test('a clock that was injected, a comment and a string are no timers', () => {
    expect(
      timeOutsideDeadline(core('pool/a.ts', "clock.setTimer(5, run) // setTimeout()\nconst a = 'Date.now()'")),
    ).toEqual([])
  })

  test.each([
    "if (code === '57014') stop()",
    "const codes = ['40P01']",
    "type Code = '0A000'",
    "if (code.startsWith('08')) stop()",
    "const isOurs = code.slice(0, 2) === 'XX'",
    'if (code === `40001`) stop()',
    'const isConflict = /^(40001|40P01)$/.test(code)',
    'const verdicts = { 40001: true }',
    "const verdicts = { '40P01': true }",
    "switch (code) { case '53300': stop() }",
  ])('%s is for errors/', (text) => {
    expect(sqlStateOutsideErrors(core('connection/a.ts', text))).toHaveLength(1)
    expect(sqlStateOutsideErrors(adapter(text))).toHaveLength(1)
    expect(sqlStateOutsideErrors(core('errors/a.ts', text))).toEqual([])
  })

  test('words and comments are no SQLSTATEs', () => {
    expect(sqlStateOutsideErrors(core('connection/a.ts', "const word = 'BEGIN' // 57014"))).toEqual([])
  })

  test('the core knows no ORM and no other package', () => {
    expect(wrongNeighbours(core('pool.ts', "import type { Kysely } from 'kysely'"))).toHaveLength(1)
    expect(wrongNeighbours(core('pool.ts', "import { withLock } from '@pg-lifeguard/kysely'"))).toHaveLength(1)
    expect(wrongNeighbours(core('pool.ts', "import { hash } from 'node:crypto'"))).toEqual([])
  })

  test('an adapter knows the core by its name alone', () => {
    expect(wrongNeighbours(adapter("import { Host } from '@pg-lifeguard/core/dist/server/server.js'"))).toHaveLength(1)
    expect(wrongNeighbours(adapter("import type { A } from '@pg-lifeguard/drizzle'"))).toHaveLength(1)
    expect(wrongNeighbours(adapter("import { createPool } from '@pg-lifeguard/core'\nimport 'kysely'"))).toEqual([])
    expect(wrongNeighbours(adapter("import { adapterPool } from '@pg-lifeguard/core/adapter'"))).toEqual([])
  })

  test('the cases of conformance know no adapter and no ORM', () => {
    const cases = (text: string): SourceFile[] => invented({ 'packages/conformance/src/cases/a.ts': text })
    expect(wrongNeighbours(cases("import { withLock } from '@pg-lifeguard/kysely'"))).toHaveLength(1)
    expect(wrongNeighbours(cases("import { sql } from 'kysely'"))).toHaveLength(1)
    expect(wrongNeighbours(cases("import { startFaultProxy } from '@pg-lifeguard/testing'"))).toEqual([])
  })

  test.each(['skip', 'only', 'todo', 'skipIf'])('test.%s is seen', (how) => {
    expect(laxTests(core('a.test.ts', `test.${how}('a', run)`))).toHaveLength(1)
  })
})

describe('packages', () => {
  const declaring = (manifest: Omit<Package['manifest'], 'name'>): Package => ({
    folder: 'packages/kysely',
    manifest: { name: '@pg-lifeguard/kysely', ...manifest },
  })

  test('what is imported is declared, and what is declared is imported', () => {
    const one = declaring({ dependencies: { pg: '*' }, peerDependencies: { kysely: '*' } })
    expect(wrongDependencies(one, adapter("import { Kysely } from 'kysely'\nimport 'left-pad/x.js'"))).toEqual([
      'packages/kysely/src/index.ts:2 imports left-pad, which packages/kysely/package.json does not declare',
      'packages/kysely/package.json declares pg, unused in src',
    ])
  })

  test('a type needs the package or its types; a value needs the package itself', () => {
    const one = declaring({ dependencies: { '@types/pg': '*' } })
    expect(wrongDependencies(one, adapter("import type pg from 'pg'"))).toEqual([])
    expect(wrongDependencies(one, adapter("import pg from 'pg'"))).toHaveLength(1)
  })

  test('any is found wherever an entry leads', () => {
    const files = new Map(
      invented({
        'packages/a/dist/index.d.ts': "export type { B } from './sub/b.js'\nexport declare const ok: unknown",
        'packages/a/dist/sub/b.d.ts': "import type { C } from '../c.js'\nexport type B = C<string>",
        'packages/a/dist/c.d.ts': 'export type C<T> = T | any[]',
        'packages/a/dist/inner.d.ts': 'export type Inner = any',
      }).map((file) => [file.path, file]),
    )
    const load = (path: string): SourceFile => {
      const file = files.get(path)
      if (file === undefined) throw new Error(`${path} is not there`)
      return file
    }
    expect(publicAnys(['packages/a/dist/index.d.ts'], load)).toEqual(['packages/a/dist/c.d.ts:1 has the type any'])
  })

  test('entries are the source files that the exports lead to', () => {
    const exports = {
      '.': { types: './dist/index.d.ts', default: './dist/index.js' },
      './package.json': './package.json',
    }
    expect(entriesOf(declaring({ exports }))).toEqual(['packages/kysely/src/index.ts'])
  })

  test('a barrel is found by its name and by its nature', () => {
    const files = invented({
      'packages/core/src/index.ts': "export { a } from './a.js'",
      'packages/core/src/pool/index.ts': 'export const a = 1',
      'packages/core/src/pool/all.ts': "export { a } from './a.js'\nexport * from './b.js'",
      'packages/core/src/pool/one.ts': "export { a } from './a.js'\nexport const b = 1",
    })
    expect(innerBarrels(files, new Set(['packages/core/src/index.ts']))).toHaveLength(2)
    expect(unnamedExports(files)).toEqual([
      'packages/core/src/pool/all.ts:2 exports * from ./b.js: name what is exported',
    ])
    expect(unnamedExports(adapter("export * from '@pg-lifeguard/core'"))).toEqual([])
  })
})

describe('names and sizes', () => {
  test.each([
    'src/withLock.ts',
    'src/With-lock.ts',
    'src/with_lock.ts',
    'src/pool-utils.ts',
    'src/utils/a.ts',
    'src/lock-manager.ts',
  ])('%s is no name for a file', (path) => expect(wrongFileNames([path])).toHaveLength(1))
  test.each([
    'src/with-lock.ts',
    'test/lock.test.ts',
    'test/lock.model.test.ts',
    'vitest.config.ts',
    'src/pg.d.ts',
    'src/tls13.ts',
  ])('%s is a name for a file', (path) => expect(wrongFileNames([path])).toEqual([]))
  test.each(['interface IPool {}', 'class LockManager {}', 'type StringUtils = string'])('%s', (text) =>
    expect(wrongNames(core('a.ts', text))).toHaveLength(1),
  )
  test.each(['interface Idle {}', 'type IO = string', 'class IsolationLevel {}'])('%s is fine', (text) =>
    expect(wrongNames(core('a.ts', text))).toEqual([]),
  )
  test('a file of 601 lines is too long', () => {
    const files = invented({ 'a.ts': '\n'.repeat(601), 'b.ts': '\n'.repeat(600) })
    expect(longFiles(files)).toEqual(['a.ts has 601 lines: one concept a file, 600 lines at most'])
  })

  test('a short file that one other file imports is a section of that file', () => {
    const files = invented({
      'packages/core/src/index.ts': "export { A } from './pool/a.js'\nexport { D } from './pool/d.js'",
      'packages/core/src/pool/a.ts': "import { B } from './b.js'\nimport { C } from './c.js'",
      'packages/core/src/pool/b.ts': 'export const B = 1',
      'packages/core/src/pool/c.ts': '\n'.repeat(60),
      'packages/core/src/pool/d.ts': "import type { A } from './a.js'",
    })
    const entries = new Set(['packages/core/src/index.ts'])
    expect(smallFiles(files, entries)).toEqual([
      'packages/core/src/pool/b.ts has 1 line, and only packages/core/src/pool/a.ts imports it: make it a section of that file',
    ])
  })
})

describe('own SQL', () => {
  const sql = (text: string): string[] => unqualifiedSql(core('a.ts', `const a = ${text}`))

  test.each([
    "'select pg_catalog.pg_backend_pid() as pid'",
    "'select pg_catalog.count(*)::pg_catalog.int4 from pg_catalog.pg_locks where pid OPERATOR(pg_catalog.=) $1'",
    `\`update \${'t'} set \${'a'} = $1\``,
    "'select coalesce(a, \\'\\'), case when a then b end from (select 1 as a) x'",
    "'the name pg_locks(x) = y in a message'",
  ])('%s finds nothing by the search_path', (text) => expect(sql(text)).toEqual([]))

  test.each([
    ["'select pg_backend_pid()'", 'the function pg_backend_pid'],
    ["'select count(*) from t'", 'the function count'],
    ["'select a::text from t'", 'the type text'],
    ["'select a::bigint from pg_catalog.t'", 'the type bigint'],
    ["'select 1 from pg_locks'", 'the table pg_locks'],
    ["'select a = 1 from t'", 'the operator ='],
    ["'select a || b from t'", 'the operator |'],
    ["'select a - b from t'", 'the operator a - b'],
    ["'select 1 from t where a in (select 1)'", 'the operator of in ('],
    ["'select a like $1 from t'", 'the operator of like'],
    ["'select case a when 1 then 2 end'", 'the operator of case'],
    [`\`select \${'a'} and pg_catalog.now() > b\``, 'the operator >'],
  ])('%s does', (text, what) => expect(sql(text).join()).toContain(what))
})
