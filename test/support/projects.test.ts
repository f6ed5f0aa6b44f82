import { expect, test } from 'vitest'
import { longest, testProjects, workersOf } from './projects.js'
import { files } from './workspace.js'

const projects = testProjects().map(({ include, exclude, ...project }) => ({
  ...project,
  files: files(...include).filter((path) => !new Set(files(...exclude)).has(path)),
}))
const filesOf = (name: string): readonly string[] => projects.find((one) => one.name.endsWith(name))?.files ?? []

test('every test file belongs to one project', () => {
  const all = files('{packages,apps,bench,test}/**/*.test.ts').filter((path) => !path.includes('/dist/'))
  expect(projects.flatMap((project) => project.files).toSorted()).toEqual(all)
})

test('those that change what is global have a process to themselves, the others share it', () => {
  expect(filesOf('shared')).toContain('packages/core/test/resource-pool/resource-pool.test.ts')
  expect(filesOf('shared')).toContain('packages/core/test/lock/lock.test.ts')
  expect(filesOf('apart')).toContain('packages/kysely/test/oldest.test.ts')
  expect(filesOf('apart')).toContain('packages/core/test/pg-compat/typeorm.test.ts')
  expect(filesOf('apart')).toContain('packages/testing/test/cluster-lifetime.test.ts')
  expect(filesOf('shared')).toContain('packages/core/test/pg-compat/submittables.test.ts')
  expect(filesOf('load')).toContain('test/proof/proof.test.ts')
  expect(filesOf('programs')).toContain('test/docs/examples.test.ts')
  expect(projects.filter(({ isolate }) => !isolate).map(({ name }) => name)).toEqual(['2 programs', '4 shared'])
  expect(projects.filter(({ alone }) => alone).map(({ name }) => name)).toEqual(['5 measured'])
})

test('what takes longest is there, each once, in the order of its projects', () => {
  const places = longest.map((path) => projects.findIndex((project) => project.files.includes(path)))
  expect(places).not.toContain(-1)
  expect(places).toEqual(places.toSorted((a, b) => a - b))
  expect(new Set(longest).size).toBe(longest.length)
})

test('a server that is given is used by one file at a time', () => {
  expect(workersOf('postgres://localhost/postgres')).toBe(1)
  expect(workersOf('')).toBeGreaterThan(1)
  expect(workersOf(undefined)).toBe(workersOf(''))
})
