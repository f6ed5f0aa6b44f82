import { expect, test } from 'vitest'
import { testProjects, workersOf } from './projects.js'
import { files } from './workspace.js'

const projects = testProjects().map(({ include, exclude, ...project }) => ({
  ...project,
  files: files(...include).filter((path) => !exclude.includes(path)),
}))
const filesOf = (name: string): readonly string[] => projects.find((one) => one.name.endsWith(name))?.files ?? []

test('every test file belongs to one project', () => {
  const all = files('{packages,apps,bench,test}/**/*.test.ts').filter((path) => !path.includes('/dist/'))
  expect(projects.flatMap((project) => project.files).toSorted()).toEqual(all)
})

test('those that share a process use no server, the others have one to themselves', () => {
  expect(filesOf('fakes')).toContain('packages/core/test/pool/resource-pool.test.ts')
  expect(filesOf('fakes')).toContain('packages/core/test/policy/codel.test.ts')
  expect(filesOf('servers')).toContain('packages/core/test/session/lock.test.ts')
  expect(filesOf('servers')).toContain('packages/kysely/test/oldest.test.ts')
  expect(filesOf('programs')).toContain('test/proof/proof.test.ts')
  expect(projects.filter(({ isolate }) => !isolate).map(({ name }) => name)).toEqual(['3 fakes'])
  expect(projects.filter(({ alone }) => alone).map(({ name }) => name)).toEqual(['4 measured'])
})

test('a server that is given is used by one file at a time', () => {
  expect(workersOf('postgres://localhost/postgres')).toBe(1)
  expect(workersOf('')).toBeGreaterThan(1)
  expect(workersOf(undefined)).toBe(workersOf(''))
})
