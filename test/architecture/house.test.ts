import { beforeAll, describe, expect, test } from 'vitest'
import { files, packages, read } from '../support/workspace.js'
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

const house = packages()
let sources: SourceFile[] = []

beforeAll(() => {
  sources = files('packages/*/src/**/*.ts').map((path) => parseSource(path, read(path)))
})

test('every package of the house is looked at', () => {
  const seen = new Set(sources.map(({ path }) => path.split('/')[1]))
  expect([...seen]).toEqual(house.map(({ folder }) => folder.split('/')[1]))
  expect(sources.length).toBeGreaterThan(80)
  expect(sources.flatMap(({ imports }) => imports).filter(({ isType }) => isType).length).toBeGreaterThan(80)
})

describe('floors', () => {
  test('nothing imports upward in the core, types included', () => expect(upwardImports(sources)).toEqual([]))
  test('there is no circle of imports, types included', () => expect(importCircles(sources)).toEqual([]))
  test('no file reaches into another package', () => expect(strayImports(sources)).toEqual([]))
  test('no package depends on itself through others', () => {
    const dependencies = new Map(
      house.map(({ manifest }) => [
        manifest.name,
        Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies, ...manifest.devDependencies }),
      ]),
    )
    expect(packageCircles(dependencies)).toEqual([])
  })
})

describe('borders', () => {
  test('only connection/ imports the driver', () => expect(driverOutsideConnection(sources)).toEqual([]))
  test('only deadline/ knows time and chance', () => expect(timeOutsideDeadline(sources)).toEqual([]))
  test('the own SQL of the library finds nothing by the search_path', () =>
    expect(unqualifiedSql(sources.filter(({ path }) => !/^packages\/(testing|conformance)\//.test(path)))).toEqual([]))
  test('only errors/ knows SQLSTATEs', () => expect(sqlStateOutsideErrors(sources)).toEqual([]))
  test('the core knows no ORM, and an adapter knows the core by its name alone', () =>
    expect(wrongNeighbours(sources)).toEqual([]))
})

describe('packages', () => {
  test.each(house)('$folder declares what it imports, and nothing else', (one) =>
    expect(wrongDependencies(one, sources)).toEqual([]),
  )
  test.each(house)('$folder shows its users no any', (one) => {
    const declarations = entriesOf(one).map((path) => path.replace('/src/', '/dist/').replace(/\.ts$/, '.d.ts'))
    expect(declarations).not.toEqual([])
    expect(publicAnys(declarations, (path) => parseSource(path, read(path)))).toEqual([])
  })
  test('there are no inner barrels, and exports are named', () => {
    expect(innerBarrels(sources, new Set(house.flatMap(entriesOf)))).toEqual([])
    expect(unnamedExports(sources)).toEqual([])
  })
})

describe('names and sizes', () => {
  test('files are named in kebab-case, after what they are about', () =>
    expect(wrongFileNames(files('{packages,apps}/*/{src,test}/**/*.ts', '{test,bench}/**/*.ts'))).toEqual([]))
  test('types and functions are named after what they are about', () => expect(wrongNames(sources)).toEqual([]))
  test('a file holds one concept', () => expect(longFiles(sources)).toEqual([]))
  test('what a single file of the core needs is in that file, where it is short', () => {
    const core = sources.filter(({ path }) => path.startsWith('packages/core/'))
    expect(smallFiles(core, new Set(house.flatMap(entriesOf)))).toEqual([])
  })
})

test('no test is skipped or singled out', () => {
  const tests = files('packages/*/test/**/*.ts', 'apps/*/test/**/*.ts', 'bench/test/**/*.ts', 'test/**/*.ts')
  expect(tests.length).toBeGreaterThan(20)
  expect(laxTests(tests.map((path) => parseSource(path, read(path))))).toEqual([])
})
