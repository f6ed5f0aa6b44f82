import { existsSync } from 'node:fs'
import { join, posix } from 'node:path'
import { expect, test } from 'vitest'
import { files, packages, read, root } from '../support/workspace.js'
import { anchors, fencedBlocks, links } from './markdown.js'

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

const published = packages().filter(({ manifest }) => manifest.private !== true)
/** Where the repository is, and the form of a link to a file of it. */
const repository = 'https://github.com/pg-lifeguard/pg-lifeguard'
const linkToFile = new RegExp(`^${repository}/(?:blob|tree)/main/(.+)$`)

/** What each link of our pages to a file of this repository leads to: its path from the root, and the anchor in it. */
const linked = files('*.md', 'docs/**/*.md', '{packages,apps}/*/*.md', 'bench/*.md', '.changeset/*.md').flatMap(
  (path) =>
    links(read(path)).flatMap(({ target, anchor }) => {
      const onGitHub = linkToFile.exec(target)?.[1]
      if (onGitHub === undefined && /^[a-z]+:/.test(target)) return []
      const beside = target === '' ? path : posix.join(posix.dirname(path), target)
      return [{ from: path, to: onGitHub ?? beside, anchor, isRelative: onGitHub === undefined }]
    }),
)

test('every link to a file leads to one, and so does every link to the repository', () => {
  for (const isRelative of [true, false]) expect(linked.some((link) => link.isRelative === isRelative)).toBe(true)
  expect(linked.filter(({ to }) => !existsSync(join(root, to)))).toEqual([])
})

test('every link to a heading of our own pages leads to one', () => {
  const toHeadings = linked.filter(({ to, anchor }) => anchor !== undefined && to.endsWith('.md'))
  for (const path of ['docs/README.md', 'packages/core/README.md']) {
    expect(
      toHeadings.some(({ from, to }) => from === path && to !== path),
      `${path} links to headings of other pages`,
    ).toBe(true)
  }
  const anchorsOf = new Map([...new Set(toHeadings.map(({ to }) => to))].map((to) => [to, anchors(read(to))]))
  expect(toHeadings.filter(({ to, anchor = '' }) => anchorsOf.get(to)?.has(anchor) !== true)).toEqual([])
})

test('anchors are those that GitHub makes', () => {
  const page = '# `a()`: B & [C](c.md)\n```sh\n# no heading\n```\n## D_e-f?\n## D_e-f!\n### Müller’s 2.0 \n'
  expect([...anchors(page)]).toEqual(['a-b--c', 'd_e-f', 'd_e-f-1', 'müllers-20'])
  expect(links('[a](b.md#c), [d](#e), [f](g.md)\n```md\n[h](i.md)\n```\n')).toEqual([
    { target: 'b.md', anchor: 'c' },
    { target: '', anchor: 'e' },
    { target: 'g.md', anchor: undefined },
  ])
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
