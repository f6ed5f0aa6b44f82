import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { sessionsOf, useDatabase } from '@pg-lifeguard/testing/vitest'
import pg from 'pg'
import { expect, inject, test } from 'vitest'
import { openFolder } from './cluster-fixtures/program.js'

const database = useDatabase({ setup: 'create table item (id int primary key); insert into item values (1), (2)' })

test('a test file gets a database of its own, made from the set-up SQL', async () => {
  const client = new pg.Client({ connectionString: database.url, application_name: 'shop' })
  await client.connect()
  try {
    const { rows } = await client.query('select current_database() as name, count(*)::int as items from item')
    expect(rows).toEqual([{ name: database.name, items: 2 }])
    expect(await sessionsOf(database, { applicationName: 'shop' })).toMatchObject([
      { database: database.name, applicationName: 'shop', state: 'idle' },
    ])
    expect(await sessionsOf(database, { applicationName: 'somebody else' })).toEqual([])
  } finally {
    await client.end()
  }
})

interface RunOptions {
  readonly temp: string
  readonly env?: NodeJS.ProcessEnv
}

/** Runs the leaking project with vitest, as its user would. */
async function runLeakingProject({ temp, env = {} }: RunOptions): Promise<{ code: number | null; output: string }> {
  const cwd = path.join(import.meta.dirname, 'cluster-fixtures/leaking-project')
  const vitest = path.join(path.dirname(fileURLToPath(import.meta.resolve('vitest/package.json'))), 'vitest.mjs')
  const child = spawn(process.execPath, [vitest, 'run', '--no-color'], {
    cwd,
    env: { PATH: process.env['PATH'], HOME: temp, TMPDIR: temp, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString('utf8')
    })
  }
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, output }
}

test('a file that leaks a connection fails and names it; the cluster of the run is gone afterwards', async () => {
  using temp = openFolder()
  const { code, output } = await runLeakingProject({ temp: temp.path })
  expect(output).toMatch(/LeftoverSessionsError: 1 session\(s\) still on lifeguard_\w+ 50 ms after the last test/)
  expect(output).toMatch(/pid \d+ 'leaky shop' idle: select id from item/)
  expect(output).toMatch(/Tests\s+1 passed/)
  expect(code).toBe(1)
  expect(readdirSync(temp.path).filter((name) => name.startsWith('lifeguard-'))).toEqual([])
})

test("a server of one's own is used instead, and left without any database of the run", async () => {
  using temp = openFolder()
  const before = await databases()
  const { code, output } = await runLeakingProject({
    temp: temp.path,
    env: { LIFEGUARD_TEST_URL: inject('lifeguard').url },
  })
  expect(output).toMatch(/pid \d+ 'leaky shop' idle: select id from item/)
  expect(code).toBe(1)
  const made = (await databases()).filter(
    (name) => !before.includes(name) && !name.startsWith(inject('lifeguard').prefix),
  )
  expect(made).toEqual([])
})

test('without the global set-up the message has the line that is missing', async () => {
  using temp = openFolder()
  const { code, output } = await runLeakingProject({ temp: temp.path, env: { LEAK_SETUP: 'none' } })
  expect(output).toContain("useDatabase() needs globalSetup: ['@pg-lifeguard/testing/vitest-global-setup']")
  expect(code).toBe(1)
})

async function databases(): Promise<string[]> {
  const client = new pg.Client(inject('lifeguard').url)
  await client.connect()
  try {
    return (await client.query<{ datname: string }>('select datname from pg_database')).rows.map((row) => row.datname)
  } finally {
    await client.end()
  }
}

test('each worker keeps to a server of its own, where the configuration asks for several', () => {
  const { urls } = inject('lifeguard')
  expect(new Set(urls.map((url) => new URL(url).host)).size).toBe(urls.length)
  expect(urls).toHaveLength(process.env['LIFEGUARD_TEST_URL'] ? 1 : (inject('lifeguardServers') ?? 1))
  const own = urls[(Number(process.env['VITEST_POOL_ID']) - 1) % urls.length] ?? ''
  expect(new URL(database.url).host).toBe(new URL(own).host)
})

test('several servers are all gone afterwards, and a number that is none is refused', async () => {
  using temp = openFolder()
  const run = (servers: string) => runLeakingProject({ temp: temp.path, env: { LEAK_SERVERS: servers } })
  const [two, refused] = await Promise.all([run('2'), run('1.5')])
  expect(two.output).toMatch(/Tests\s+1 passed/)
  expect(two.code).toBe(1)
  expect(readdirSync(temp.path).filter((name) => name.startsWith('lifeguard-'))).toEqual([])
  expect(refused.output).toContain('provide.lifeguardServers must be an integer from 1 to 64, not 1.5')
  expect(refused.code).toBe(1)
}, 60_000)
