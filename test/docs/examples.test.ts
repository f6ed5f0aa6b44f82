import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { files, read, root } from '../support/workspace.js'
import { type Example, examplesOfMarkdown, examplesOfSource, moduleOf } from './examples.js'

const run = promisify(execFile)
const database = useDatabase()
/** What the adapters' examples find. */
const shop = useDatabase({
  setup: `create table item (id int primary key, name text not null, stock int not null, version int not null default 1);
    insert into item values (7, 'lamp', 5)`,
})
const examples = [
  ...files('packages/*/src/**/*.ts').flatMap((path) => examplesOfSource(path, read(path))),
  ...files('*.md', 'packages/*/*.md', 'apps/*/*.md', 'bench/*.md', 'docs/**/*.md').flatMap((path) =>
    examplesOfMarkdown(path, read(path)),
  ),
]

/** Inside of this package's node_modules: what the examples import is found from there, and git does not see it. */
let folder = ''
let complaints: readonly string[] = []

beforeAll(async () => {
  const cache = join(root, 'test/node_modules/.cache')
  await mkdir(cache, { recursive: true })
  folder = await mkdtemp(join(cache, 'examples-'))
  await Promise.all(examples.map((example) => writeFile(join(folder, fileName(example)), moduleOf(example))))
  // What a user's `prisma generate` makes; the build makes it of packages/prisma/test/schema.prisma.
  await cp(join(root, 'packages/prisma/generated'), join(folder, 'generated'), { recursive: true })
  const compilerOptions = {
    strict: true,
    // Declarations of others are theirs: those of Drizzle do not compile without the drivers of every database it knows.
    skipLibCheck: true,
    target: 'esnext',
    lib: ['es2024', 'esnext.disposable'],
    module: 'nodenext',
    types: ['node'],
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noPropertyAccessFromIndexSignature: true,
  }
  await writeFile(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions, include: ['*.ts', 'generated/**/*.ts'] }),
  )
  await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }))
  complaints = await compile()
})

afterAll(() => rm(folder, { recursive: true, force: true }))

function fileName({ path, line }: Example): string {
  return `${path.replace(/\.\w+$/, '').replaceAll('/', '_')}_${line}.ts`
}

/**
 * Compiles all examples, and leaves their JavaScript beside them.
 *
 * @returns what the compiler says, with places in the documentation instead of those in the generated files
 */
async function compile(): Promise<string[]> {
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const output = await run(process.execPath, [tsc, '-p', folder, '--pretty', 'false']).then(
    () => '',
    ({ stdout }: { readonly stdout: string }) => stdout || 'the compiler did not run',
  )
  const byFile = new Map(examples.map((example) => [fileName(example), example]))
  return output
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const place = /^(.*?)\((\d+),\d+\): (.*)$/.exec(line)
      const example = byFile.get(basename(place?.[1] ?? ''))
      return example === undefined ? line : `${example.path}:${example.line + Number(place?.[2]) - 2} ${place?.[3]}`
    })
}

test('every example in the documentation and in doc comments compiles', () => {
  expect(examples.length).toBeGreaterThan(15)
  for (const path of ['README.md', 'packages/core/README.md', 'packages/core/src/pool.ts', 'docs/errors.md']) {
    expect(
      examples.some((example) => example.path === path),
      `an example in ${path}`,
    ).toBe(true)
  }
  expect(complaints).toEqual([])
})

test('every block of code says which language it is, so that none escapes', () => {
  const unnamed = files('*.md', 'packages/*/*.md', 'docs/**/*.md').filter((path) =>
    /^```\s*\n(?=import )/m.test(read(path)),
  )
  expect(unnamed).toEqual([])
})

/** Runs an example with `url` in the place of the addresses that it names. */
async function runs(example: Example, url: string): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const name = fileName(example).replace(/\.ts$/, '')
  const code = await readFile(join(folder, `${name}.js`), 'utf8')
  const file = join(folder, `${name}.run.js`)
  await writeFile(file, code.replaceAll(/postgres:\/\/(?:localhost|primary|replica)\/shop/g, url))
  return await run(process.execPath, [file], { env: { ...process.env, DATABASE_URL: url } })
}

test.each(['README.md', 'packages/core/README.md'])('the first example of %s runs', async (path) => {
  const example = examples.find((one) => one.path === path)
  if (example === undefined) throw new Error(`${path} has no example`)
  const { stdout, stderr } = await runs(example, database.url)
  expect(stdout).not.toBe('')
  expect(stderr).toBe('')
})

describe('every example in the README of an adapter runs', () => {
  const ofAdapters = examples.filter(({ path }) => /^packages\/(?:kysely|drizzle|prisma)\/README\.md$/.test(path))

  test.each(ofAdapters.map((example) => [`${example.path}:${example.line}`, example] as const))(
    '%s',
    async (_, example) => {
      expect((await runs(example, shop.url)).stderr).toBe('')
    },
  )

  test('of which each adapter has three or more, and the first one of each says something', async () => {
    for (const adapter of ['kysely', 'drizzle', 'prisma']) {
      const [first, ...others] = ofAdapters.filter(({ path }) => path.includes(adapter))
      if (first === undefined) throw new Error(`the README for ${adapter} has no example`)
      expect(others.length).toBeGreaterThanOrEqual(2)
      expect((await runs(first, shop.url)).stdout).toContain('Ada')
    }
  })
})

describe('examples are found', () => {
  test('in markdown, with their line', () => {
    const text = '# A\n\n```sh\nnpm i\n```\n\n```ts\nconst a = 1\nconst b = 2\n```\n'
    expect(examplesOfMarkdown('a.md', text)).toEqual([{ path: 'a.md', line: 8, code: 'const a = 1\nconst b = 2' }])
  })

  test('in doc comments, with a fence or without', () => {
    const text =
      '/**\n * A.\n *\n * @example\n * ```ts\n * a()\n * ```\n */\nconst a = 1\n/**\n * @example\n * b()\n * @returns nothing\n */'
    expect(examplesOfSource('a.ts', text)).toEqual([
      { path: 'a.ts', line: 6, code: 'a()' },
      { path: 'a.ts', line: 12, code: 'b()' },
    ])
  })
})
