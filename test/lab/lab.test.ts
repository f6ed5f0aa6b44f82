import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { files, read, root } from '../support/workspace.js'
import { type Lab, labs } from './labs.js'
import { type LabResult, runLab, runLabs, summary } from './run-labs.js'

const scripts = (JSON.parse(read('package.json')) as { readonly scripts: Readonly<Record<string, string>> }).scripts
const script = (name: string, code: string): Lab => ({ name, title: name, program: ['-e', code] })

test('every program of test/ with a command of its own is in the lab', () => {
  const folders = files('test/*/main.ts').map((path) => path.split('/')[1])
  const known = new Set(labs.map(({ name }) => name.replace(':', '-')))
  // lab runs the others.
  expect(folders.filter((folder) => !known.has(folder ?? ''))).toEqual(['lab'])
})

test('what it starts is there, or is made of what is there', () => {
  for (const { name, program } of labs) {
    const [file = ''] = program
    const source = file
      .replace('/test/dist/', '/test/')
      .replace('/bench/dist/', '/bench/src/')
      .replace(/main\.js$/, 'main.ts')
    expect(existsSync(source), `${name}: ${source}`).toBe(true)
  }
})

test('one script runs all of them', () => {
  const names = labs.map(({ name }) => name)
  expect(Object.keys(scripts).filter((script) => names.includes(script))).toEqual([])
  expect(Object.entries(scripts).filter(([, command]) => /\blab\b/.test(command))).toEqual([['lab', scripts['lab']]])
})

test('what names a program of the lab names one that is there, with the script that runs it', () => {
  const texts = files('*.md', 'docs/**/*.md', '{apps,bench,packages}/*/*.md', 'bench/*.md', '.changeset/*.md').concat(
    files('{apps,bench,packages,test}/**/*.{ts,mjs}').filter((path) => !path.includes('/dist/')),
  )
  const names = labs.map(({ name }) => name)
  const own = new RegExp(`\\bpnpm(?:@\\d+)? (?:--silent )?(?:run )?(?:${names.join('|')})\\b`)
  expect(texts.filter((path) => own.test(read(path)))).toEqual([])
  const named = texts.flatMap((path) =>
    [...read(path).matchAll(/\bpnpm(?:@\d+)? (?:--silent )?lab ([a-z][a-z:]*)/g)].map(([, name = '']) => ({
      path,
      name,
    })),
  )
  expect(named.length).toBeGreaterThan(0)
  expect(named.filter(({ name }) => name !== 'all' && !names.includes(name))).toEqual([])
})

test('each says in its help how it is run', () => {
  for (const { name } of labs.filter(({ name }) => name !== 'properties')) {
    const sources = name === 'bench' ? files('bench/src/*.ts') : files(`test/${name.replace(':', '-')}/*.ts`)
    const helps = sources.flatMap((path) => /help = `(.*)/.exec(read(path))?.[1] ?? [])
    expect(helps, name).toEqual([expect.stringMatching(new RegExp(`^npx -y pnpm@12 lab ${name} .*\\[options\\]$`))])
  }
})

test('the properties are all that draw their cases from a seed', () => {
  const found =
    labs.find(({ name }) => name === 'properties')?.program.filter((path) => path.endsWith('.test.ts')) ?? []
  expect(found).toContain('packages/core/test/transaction/transaction.model.test.ts')
  expect(found).toContain('packages/core/test/resilience/codel.test.ts')
  for (const path of found) expect(existsSync(join(root, path)), path).toBe(true)
})

test('one that fails is no reason to leave out the others', async () => {
  const ended: LabResult[] = []
  const all = [script('first', 'process.exit(3)'), script('second', '')]
  const results = await runLabs(all, (result) => ended.push(result))
  expect(results).toEqual(ended)
  expect(results.map(({ name, failed }) => [name, failed])).toEqual([
    ['first', 'exit code 3'],
    ['second', undefined],
  ])
  expect(summary(results)).toMatch(/^first {3}\d+ s {2}exit code 3\nsecond {2}\d+ s {2}ok\n$/)
})

test('a signal ends all of them', async () => {
  const killed = script('killed', 'process.kill(process.pid, "SIGTERM"); setTimeout(() => undefined, 60_000)')
  const results = await runLabs([killed, script('never', '')], () => undefined)
  expect(results.map(({ name, failed }) => [name, failed])).toEqual([['killed', 'SIGTERM']])
})

test('options are handed on', async () => {
  const asked = script('asked', 'process.exit(process.argv.at(-1) === "--json" ? 0 : 1)')
  expect((await runLab(asked, ['--', '--json'])).failed).toBeUndefined()
  expect((await runLab(asked, [])).failed).toBe('exit code 1')
})
