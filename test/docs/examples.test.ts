import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { files, read, root } from '../support/workspace.js'
import { type Example, examplesOfMarkdown, examplesOfSource, moduleOf } from './examples.js'

const run = promisify(execFile)
const database = useDatabase()
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

describe('the first example of a README runs', () => {
  test.each(['README.md', 'packages/core/README.md', 'packages/kysely/README.md', 'packages/prisma/README.md'])(
    '%s',
    async (path) => {
      const example = examples.find((one) => one.path === path)
      if (example === undefined) throw new Error(`${path} has no example`)
      const env = { ...process.env, DATABASE_URL: database.url }
      const { stdout, stderr } = await run(
        process.execPath,
        [join(folder, fileName(example).replace(/\.ts$/, '.js'))],
        {
          env,
        },
      )
      expect(stdout).not.toBe('')
      expect(stderr).toBe('')
    },
  )
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
