import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { Agent, get, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { basename, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { createPool } from '@pg-lifeguard/core'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { until } from '../support/until.js'
import { files, read, root } from '../support/workspace.js'
import { type Example, examplesOfMarkdown, examplesOfSource, moduleOf } from './examples.js'

const run = promisify(execFile)
// Each example is a process of its own.
vi.setConfig({ testTimeout: 120_000 })

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
  await writeDrizzleMigrations(join(folder, 'drizzle'))
  complaints = await compile()
})

afterAll(() => rm(folder, { recursive: true, force: true }))

/** What a user's `drizzle-kit generate` makes. */
async function writeDrizzleMigrations(to: string): Promise<void> {
  const entry = { idx: 0, version: '7', when: 1_700_000_000_000, tag: '0000_first', breakpoints: true }
  await mkdir(join(to, 'meta'), { recursive: true })
  await writeFile(
    join(to, 'meta/_journal.json'),
    JSON.stringify({ version: '7', dialect: 'postgresql', entries: [entry] }),
  )
  await writeFile(join(to, `${entry.tag}.sql`), 'create table migrated (id int primary key)')
}

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
  for (const path of ['README.md', 'packages/core/README.md', 'packages/core/src/pool/pool.ts', 'docs/errors.md']) {
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

/** Makes a program of an example, with `url` in the place of the addresses that it names. */
async function programOf(example: Example, url: string): Promise<string> {
  const name = fileName(example).replace(/\.ts$/, '')
  const code = await readFile(join(folder, `${name}.js`), 'utf8')
  const file = join(folder, `${name}.run.js`)
  await writeFile(file, code.replaceAll(/postgres:\/\/(?:localhost|primary|replica)\/shop/g, url))
  return file
}

interface Said {
  readonly stdout: string
  readonly stderr: string
}
/** Each example runs once, for all that is expected of it. */
const ran = new Map<Example, Promise<Said>>()

async function runs(example: Example, url: string): Promise<Said> {
  const start = async (): Promise<Said> => {
    const program = await programOf(example, url)
    return await run(process.execPath, [program], { cwd: folder, env: { ...process.env, DATABASE_URL: url } })
  }
  const running = ran.get(example) ?? start()
  ran.set(example, running)
  return await running
}

/** The example of this page in which this stands. */
function exampleWith(path: string, text: string): Example {
  const [found, ...others] = examples.filter((example) => example.path === path && example.code.includes(text))
  if (found === undefined || others.length > 0) throw new Error(`${path} has not one example with ${text}`)
  return found
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

test('migrations of both tools run inside of the lock, and leave their tables', async () => {
  await runs(exampleWith('packages/drizzle/README.md', 'migrate(db'), shop.url)
  await runs(exampleWith('packages/kysely/README.md', 'new Migrator'), shop.url)
  await using pool = createPool({ connectionString: shop.url })
  const { rows } = await pool.query(
    "select to_regclass('migrated') is not null as drizzle, (select count(*)::int from kysely_migration) as kysely",
  )
  expect(rows).toEqual([{ drizzle: true, kysely: 2 }])
})

test('the election of the page on locks runs', async () => {
  await using pool = createPool({ connectionString: shop.url })
  await pool.query('create or replace function run_due_jobs() returns void language sql as $$ select pg_sleep(0.01) $$')
  expect((await runs(exampleWith('docs/locks.md', 'onEnd:'), shop.url)).stderr).toBe('')
})

test('the service of the page on shutdown answers what is under way, closes keep-alive connections, and ends', async () => {
  const program = await programOf(exampleWith('docs/shutdown.md', 'SIGTERM'), shop.url)
  const env = { ...process.env, DATABASE_URL: shop.url, PORT: '0', DRAIN_MS: '0' }
  const service = spawn(process.execPath, [program], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = once(service, 'exit')
  const agent = new Agent({ keepAlive: true })
  let said = ''
  const listens = new Promise<number>((resolve, reject) => {
    service.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text
      const port = /port: (\d+)/.exec(said)?.[1]
      if (port !== undefined) resolve(Number(port))
    })
    service.stderr.setEncoding('utf8').on('data', (text: string) => reject(new Error(text)))
  })
  const ask = async (port: number, path: string) => {
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      get({ port, path, agent, host: '127.0.0.1' }, resolve).on('error', reject)
    })
    return { status: answer.statusCode, connection: answer.headers.connection, body: await text(answer) }
  }
  const isRefused = async (port: number): Promise<boolean> => {
    const socket = connect(port, '127.0.0.1')
    try {
      await once(socket, 'connect')
      return false
    } catch {
      return true
    } finally {
      socket.destroy()
    }
  }
  try {
    const port = await listens
    // Two, so that one connection is idle at the end and one is in use.
    for (const ready of await Promise.all([ask(port, '/ready'), ask(port, '/ready')]))
      expect(ready).toMatchObject({ status: 200, connection: 'keep-alive' })
    await using pool = createPool({ connectionString: shop.url })
    let underWay: ReturnType<typeof ask> | undefined
    await pool.withTransaction(async (tx) => {
      await tx.query('lock table item')
      underWay = ask(port, '/')
      await until('its query waits', async () => {
        const { rows } = await tx.query("select 1 from pg_locks where relation = 'item'::regclass and not granted")
        return rows.length === 1
      })
      service.kill('SIGTERM')
      await until('the service takes no more requests', () => isRefused(port))
    })
    expect(await underWay).toMatchObject({ status: 200, connection: 'close', body: expect.stringContaining('lamp') })
    expect(await ended).toEqual([0, null])
    expect(said).toMatch(/ended\n$/)
  } finally {
    agent.destroy()
    service.kill('SIGKILL')
  }
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
