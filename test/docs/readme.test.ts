import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { files, packages, read, root } from '../support/workspace.js'
import { fencedBlocks } from './markdown.js'

const scripts = (JSON.parse(read('package.json')) as { readonly scripts: Readonly<Record<string, string>> }).scripts

test('the README shows the two commands that need nothing but Node', () => {
  const commands = fencedBlocks(read('README.md')).flatMap(({ language, code }) =>
    language === 'sh' ? code.split('\n') : [],
  )
  expect(commands).toContain('npx -y pnpm@12 demo')
  expect(commands).toContain('npx -y pnpm@12 test')
})

test('every script of pnpm that a document names is there', () => {
  const builtIn = ['install', 'exec', '-r', '--filter']
  for (const path of files('*.md', 'docs/**/*.md', 'packages/*/*.md', 'apps/*/*.md', 'bench/*.md')) {
    for (const [, name] of read(path).matchAll(/npx -y pnpm@12 (?:--silent )?([\w:-]+)/g)) {
      expect([...Object.keys(scripts), ...builtIn], `${path}: npx -y pnpm@12 ${name}`).toContain(name)
    }
  }
})

test('every link to a file leads to one', () => {
  const broken = files('*.md', 'docs/**/*.md', 'packages/*/*.md', '.changeset/*.md').flatMap((path) =>
    [...read(path).matchAll(/\]\((?!https?:|#)([^)#]+)(#[^)]*)?\)/g)]
      .filter(([, target]) => !existsSync(join(root, dirname(path), target ?? '')))
      .map(([, target]) => `${path}: ${target}`),
  )
  expect(broken).toEqual([])
})

const published = packages().filter(({ manifest }) => manifest.private !== true)
/** Where the repository is, and the form of a link to a file of it. */
const repository = 'https://github.com/pg-lifeguard/pg-lifeguard'
const linkToFile = new RegExp(`\\]\\(${repository}/(?:blob|tree)/main/([^)#]+)`, 'g')

test('every link to the repository leads to a file of it', () => {
  const linked = files('*.md', 'docs/**/*.md', 'packages/*/*.md').flatMap((path) =>
    [...read(path).matchAll(linkToFile)].map(([, target = '']) => ({ path, target })),
  )
  expect(linked).not.toEqual([])
  expect(linked.filter(({ target }) => !existsSync(join(root, target)))).toEqual([])
})

test.each(published)('what npm shows of $folder leads out of npm', ({ folder, manifest }) => {
  // A relative link is looked for on npm's own site.
  expect([...read(`${folder}/README.md`).matchAll(/\]\((?!https:|#)[^)]+\)/g)].map(String)).toEqual([])
  expect(manifest.repository).toEqual({ type: 'git', url: `git+${repository}.git`, directory: folder })
  expect(manifest.homepage).toBe(`${repository}/tree/main/${folder}#readme`)
  expect(manifest.bugs).toBe(`${repository}/issues`)
})

test('every public package has a README that begins with its name', () => {
  for (const { folder, manifest } of published) {
    expect(read(`${folder}/README.md`).split('\n')[0]).toBe(`# ${manifest.name}`)
  }
})

test('every file that CONTRIBUTING.md and the architecture name is there', () => {
  for (const path of ['CONTRIBUTING.md', 'docs/architecture.md']) {
    for (const [, named] of read(path).matchAll(/`((?:packages|test|apps|bench|docs|\.ci)\/[\w./-]*\w\/?)`/g)) {
      expect(existsSync(join(root, named ?? '')), `${path} names ${named}`).toBe(true)
    }
  }
})
