import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { describe, expect, test } from 'vitest'
import { demoNames } from '../src/demo-names.js'
import { runDemo } from './run-demo.js'

/** One line on stderr, nothing else, no stack, no password. */
async function complaintOf(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const { code, stdout, stderr } = await runDemo(args, env)
  expect(stdout).toBe('')
  expect(stderr).toMatch(/^lifeguard demo: .+\n$/)
  expect(stderr).not.toContain('sekret')
  return { code, said: stderr.trimEnd().slice('lifeguard demo: '.length) }
}

describe('options that make no sense', () => {
  test.each([
    [['--nope'], "Unknown option '--nope'"],
    [['nope'], `the demo must be one of ${demoNames.join(', ')}, all, not 'nope'`],
    [['mixed', 'tenants'], "one demo or all, not 'mixed tenants'"],
    [['tenants', '--orm', 'knex'], "--orm must be one of sql, kysely, drizzle, prisma, not 'knex'"],
    [['tenants', '--runs', '3'], '--runs is for oversell, not for tenants'],
    [['--runs', '3'], '--runs is for oversell: pnpm demo oversell --runs'],
    [['--buyers'], "Option '--buyers <value>' argument missing"],
    [['oversell', '--buyers', 'many'], "--buyers must be a whole number from 2 to 10000, not 'many'"],
    [['oversell', '--tickets', '0'], "--tickets must be a whole number from 1 to 10000, not '0'"],
    [['all', '--runs', '1.5'], "--runs must be a whole number from 1 to 1000, not '1.5'"],
    [['--port', '65536'], "--port must be a whole number from 1 to 65535, not '65536'"],
    [['oversell', '--buyers', '100'], 'there must be more buyers than tickets, not 100 for 100'],
    [
      ['oversell', '--way', 'hope'],
      "--way must be one of naive, for-update, lock, serializable, optimistic, not 'hope'",
    ],
  ])('%j', async (args, said) => {
    expect(await complaintOf(args)).toEqual({ code: 2, said: `${said} (--help lists the options)` })
  })
})

describe('a DATABASE_URL that cannot be used', () => {
  const database = useDatabase()
  const changed = (change: (url: URL) => void): string => {
    const url = new URL(database.url)
    change(url)
    return url.href
  }

  test('is not a URL of PostgreSQL', async () => {
    for (const url of ['sekret', 'mysql://me:sekret@localhost/shop']) {
      expect(await complaintOf(['oversell'], { DATABASE_URL: url })).toEqual({
        code: 1,
        said: 'DATABASE_URL is not a URL of PostgreSQL, such as postgres://user:password@host:5432/database',
      })
    }
    const { code, said } = await complaintOf(['oversell'], { DATABASE_URL: 'postgres://me:sekret@localhost:port/shop' })
    expect({ code, said }).toEqual({
      code: 1,
      said: expect.stringContaining(
        'DATABASE_URL cannot be used: connectionString is a URL with a host or port that is none',
      ),
    })
  })

  test('leads to no server', async () => {
    const free = await freePort()
    const { code, said } = await complaintOf(['oversell'], {
      DATABASE_URL: `postgres://me:sekret@127.0.0.1:${free}/shop`,
    })
    expect(code).toBe(1)
    expect(said).toContain(`DATABASE_URL cannot be used: cannot connect to 127.0.0.1:${free}: connect ECONNREFUSED`)
  })

  test('has the wrong password', async () => {
    const url = changed((url) => {
      url.password = 'sekret'
    })
    const { code, said } = await complaintOf(['oversell'], { DATABASE_URL: url })
    expect(code).toBe(1)
    expect(said).toContain('password authentication failed')
  })

  test('names a database that does not exist', async () => {
    const url = changed((url) => {
      url.pathname = '/no_such_database'
    })
    const { code, said } = await complaintOf(['oversell'], { DATABASE_URL: url })
    expect(code).toBe(1)
    expect(said).toContain('database "no_such_database" does not exist')
    expect(said).not.toContain(new URL(database.url).password)
  })

  test('comes with --port, which is for the embedded server', async () => {
    expect(await complaintOf(['--port', '5432'], { DATABASE_URL: database.url })).toEqual({
      code: 1,
      said: '--port is for the embedded PostgreSQL, and DATABASE_URL is set',
    })
  })
})

test('a taken port', async () => {
  await using server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const { code, said } = await complaintOf(['--port', String(port)])
  expect(code).toBe(1)
  expect(said).toContain(`port ${port} on 127.0.0.1 is in use`)
})

test('an old Node.js', async () => {
  // The version is all that main.js looks at; the program behind it is not even loaded.
  const main = new URL('../dist/main.js', import.meta.url).href
  const script = `Object.defineProperty(process.versions, 'node', { value: '20.20.2' }); await import('${main}')`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  await once(child, 'close')
  expect({ code: child.exitCode, stderr }).toEqual({
    code: 1,
    stderr: "lifeguard demo: this is Node.js 20.20.2, and 22 or newer is needed ('pnpm demo' brings its own)\n",
  })
})

async function freePort(): Promise<number> {
  await using server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}
