import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { passwordFromFile } from '../../src/connection/connect/password-file.js'
import { LoginError } from '../../src/errors/pool-errors.js'
import { rejection, testPool } from '../support/test-pool.js'

const database = useDatabase()
const folder = mkdtempSync(join(tmpdir(), 'lifeguard-pgpass-'))
const path = join(folder, 'pgpass')

afterAll(() => rmSync(folder, { recursive: true }))

/** The URL of the database without its password, and the password. */
let bare: string
let right: string

beforeAll(() => {
  const url = new URL(database.url)
  right = decodeURIComponent(url.password)
  url.password = ''
  bare = url.href
})

function write(...lines: string[]): void {
  writeFileSync(path, lines.join('\n'), { mode: 0o600 })
}

test('a function is called for each connection, and not more often', async () => {
  let calls = 0
  const password = async (): Promise<string> => {
    calls += 1
    return right
  }
  const pool = testPool(bare, { password, max: 2 })
  await Promise.all([pool.query('select pg_sleep(0.05)'), pool.query('select pg_sleep(0.05)')])
  await pool.query('select 1')
  expect(calls).toBe(2)
})

test('what a password function throws is the cause of what callers get, and the next attempt may succeed', async () => {
  const noToken = new Error('the token service is away')
  let calls = 0
  const failing = testPool(bare, { password: () => Promise.reject(noToken), acquireTimeoutMs: 200 })
  const error = await rejection(failing.query('select 1'))
  expect(error.code).toBe('LIFEGUARD_SERVER_UNAVAILABLE')
  expect(error.message).toContain('the token service is away')
  expect(error.cause).toBe(noToken)
  const recovering = testPool(bare, {
    password: () => {
      calls += 1
      if (calls === 1) throw noToken
      return right
    },
  })
  expect((await recovering.query('select 1 as one')).rows).toEqual([{ one: 1 }])
})

test('a password function that never answers is bounded by the time to connect, and by that of the caller', async () => {
  const password = (): Promise<string> => new Promise(() => undefined)
  const pool = testPool(bare, { password, connectTimeoutMs: 100, acquireTimeoutMs: 30_000 })
  expect((await rejection(pool.query('select 1', [], { timeoutMs: 50 }))).code).toBe('LIFEGUARD_SERVER_UNAVAILABLE')
  const error = await rejection(
    testPool(bare, { password, connectTimeoutMs: 50, acquireTimeoutMs: 200 }).query('select 1'),
  )
  expect(error.message).toContain('timeout expired')
})

test('a server that asks for a password that nobody gave is a matter of configuration, told at once', async () => {
  const pool = testPool(`${bare}?passfile=${encodeURIComponent(join(folder, 'none'))}`, { acquireTimeoutMs: 600_000 })
  const error = await rejection(pool.query('select 1'))
  expect(error).toBeInstanceOf(LoginError)
  expect(error.message).toMatch(/^cannot log in: the server asks for a password, and none was given; needed: /)
  const wrong = testPool(bare, { password: (() => 42) as never, acquireTimeoutMs: 600_000 })
  expect((await rejection(wrong.query('select 1'))).message).toMatch(
    /^cannot log in: the password function gave no string/,
  )
})

test('the password file is used when nothing else gives a password', async () => {
  const { hostname, port } = new URL(bare)
  write('# a comment', 'elsewhere:*:*:*:wrong', `${hostname}:${port}:*:postgres:${right}`, '*:*:*:*:wrong')
  const pool = testPool(`${bare}?passfile=${encodeURIComponent(path)}`)
  expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
})

test('a line of the password file fits by all of its fields, the first one counts, and a backslash escapes', async () => {
  const owner = { host: 'db', port: 5_432, database: 'a:b', user: String.raw`c\d` }
  write(
    'db:5433:*:*:port',
    'other:*:*:*:host',
    'too:few',
    'db::5432:a',
    'db:5432::*:*:empty',
    String.raw`db:5432:a\:b:c\\d:p\:w\\x`,
    '*:*:*:*:late',
  )
  expect(await passwordFromFile(path, owner)).toBe(String.raw`p:w\x`)
  expect(await passwordFromFile(path, { ...owner, user: 'e' })).toBe('late')
  expect(await passwordFromFile(join(folder, 'none'), owner)).toBeUndefined()
})

test('a password file that others may read is not used, and a warning says so', async () => {
  write('*:*:*:*:secret')
  chmodSync(path, 0o644)
  const warned = new Promise<Error>((resolve) => process.once('warning', resolve))
  expect(await passwordFromFile(path, { host: 'db', port: 1, database: 'x', user: 'y' })).toBeUndefined()
  const warning = await warned
  expect(warning.name).toBe('LifeguardPasswordFileWarning')
  expect(warning.message).toContain('chmod 0600')
  expect(warning.message).not.toContain('secret')
})
