import { readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type Cluster, startCluster } from '@pg-lifeguard/testing'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Authority, writePrivately } from '../support/certificates.js'
import { rejection, testPool } from '../support/test-pool.js'

const authority = new Authority('Lifeguard test authority')
const stranger = new Authority('Another authority')

let cluster: Cluster
let files: Record<string, string>
/** The host name is in the certificate, the address is not. */
let byName: string
let byAddress: string

/** In the order in which the server reads them: the first line that fits decides. */
const rules = `
hostssl   onlytls   all all scram-sha-256
hostnossl onlytls   all all reject
hostssl   neverssl  all all reject
hostnossl neverssl  all all scram-sha-256
hostssl   bycert    all all cert
`

beforeAll(async () => {
  cluster = await startCluster()
  const client = new pg.Client(cluster.url)
  await client.connect()
  const { rows } = await client.query<{ data_directory: string; hba_file: string }>(
    `select current_setting('data_directory') as data_directory, current_setting('hba_file') as hba_file`,
  )
  const [place] = rows
  if (place === undefined) throw new Error('the server does not say where its files are')
  const server = authority.issue('localhost')
  const own = writePrivately({ 'server.crt': server.certificate, 'server.key': server.key }, place.data_directory)
  const user = authority.issue('postgres')
  files = writePrivately({
    'ca.crt': authority.certificate,
    'stranger.crt': stranger.certificate,
    'user.crt': user.certificate,
    'user.key': user.key,
  })
  const ca = writePrivately({ 'ca.crt': authority.certificate }, place.data_directory)
  writeFileSync(place.hba_file, rules + readFileSync(place.hba_file, 'utf8'))
  for (const [name, value] of Object.entries({
    ssl: 'on',
    ssl_cert_file: own['server.crt'],
    ssl_key_file: own['server.key'],
    ssl_ca_file: ca['ca.crt'],
  })) {
    await client.query(`alter system set ${name} = '${value}'`)
  }
  for (const name of ['onlytls', 'neverssl', 'bycert']) await client.query(`create database ${name}`)
  await client.query('select pg_reload_conf()')
  await client.end()
  byAddress = cluster.url
  byName = byAddress.replace('127.0.0.1', 'localhost')
  await serverHasTls()
})

afterAll(async () => {
  await cluster.stop()
  await rm(dirname(files['ca.crt'] ?? ''), { recursive: true })
})

/** The reload is done by another process of the server, a moment later. */
async function serverHasTls(): Promise<void> {
  for (let tries = 0; ; tries++) {
    const client = new pg.Client({ connectionString: byName, ssl: { rejectUnauthorized: false } })
    client.on('error', () => undefined)
    try {
      await client.connect()
      return await client.end()
    } catch (error) {
      if (tries > 200) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

async function isEncrypted(url: string, options: Parameters<typeof testPool>[1] = {}): Promise<boolean> {
  const pool = testPool(url, { max: 1, ...options })
  const { rows } = await pool.query<{ ssl: boolean }>('select ssl from pg_stat_ssl where pid = pg_backend_pid()')
  return rows[0]?.ssl === true
}

async function refusal(url: string, options: Parameters<typeof testPool>[1] = {}): Promise<string> {
  const error = await rejection(testPool(url, { max: 1, ...options }).query('select 1'))
  const { code } = (error.cause ?? error) as { readonly code?: string }
  return code ?? (error.cause as Error | undefined)?.message ?? error.message
}

const database = (url: string, name: string): string => url.replace(/\/postgres$/, `/${name}`)
const file = (name: string): string => encodeURIComponent(files[name] ?? '')

describe('sslmode', () => {
  test('nothing said is no TLS, as pg has it', async () => {
    expect(await isEncrypted(byName)).toBe(false)
  })

  test.each(['disable', 'allow'])('%s has no TLS where the server does without', async (mode) => {
    expect(await isEncrypted(`${byName}?sslmode=${mode}`)).toBe(false)
  })

  test.each(['prefer', 'require'])('%s encrypts and verifies nothing', async (mode) => {
    expect(await isEncrypted(`${byAddress}?sslmode=${mode}`)).toBe(true)
  })

  test('verify-full takes the right authority and host', async () => {
    expect(await isEncrypted(`${byName}?sslmode=verify-full&sslrootcert=${file('ca.crt')}`)).toBe(true)
    expect(await isEncrypted(byName, { ssl: { ca: authority.certificate } })).toBe(true)
  })

  test('a root certificate alone is verify-full', async () => {
    expect(await refusal(`${byAddress}?sslrootcert=${file('ca.crt')}`)).toBe('ERR_TLS_CERT_ALTNAME_INVALID')
  })

  test.each(['verify-full', 'verify-ca', 'require'])('%s refuses another authority', async (mode) => {
    const url = `${byName}?sslmode=${mode}&sslrootcert=${file('stranger.crt')}`
    expect(await refusal(url)).toBe('SELF_SIGNED_CERT_IN_CHAIN')
  })

  test('verify-full refuses another host name, verify-ca and require with an authority take it', async () => {
    const url = (mode: string): string => `${byAddress}?sslmode=${mode}&sslrootcert=${file('ca.crt')}`
    expect(await refusal(url('verify-full'))).toBe('ERR_TLS_CERT_ALTNAME_INVALID')
    expect(await isEncrypted(url('verify-ca'))).toBe(true)
    expect(await isEncrypted(url('require'))).toBe(true)
  })

  test("without a root certificate verify-full and ssl: true trust only Node's authorities", async () => {
    expect(await refusal(`${byName}?sslmode=verify-full`)).toBe('SELF_SIGNED_CERT_IN_CHAIN')
    expect(await refusal(byName, { ssl: true })).toBe('SELF_SIGNED_CERT_IN_CHAIN')
    expect(await refusal(`${byName}?ssl=true`)).toBe('SELF_SIGNED_CERT_IN_CHAIN')
  })

  test('hostaddr is where to connect, and host is whom to verify', async () => {
    const url = byAddress.replace('127.0.0.1', 'localhost')
    const query = `?hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert=${file('ca.crt')}`
    expect(await isEncrypted(url + query)).toBe(true)
    expect(await refusal(url.replace('localhost', 'db.example') + query)).toBe('ERR_TLS_CERT_ALTNAME_INVALID')
  })

  test('direct negotiation works, and is refused with a mode that may end without TLS', async () => {
    expect(await isEncrypted(`${byName}?sslmode=require&sslnegotiation=direct`)).toBe(true)
    expect(() => testPool(`${byName}?sslmode=prefer&sslnegotiation=direct`)).toThrow(/^sslNegotiation is 'direct' with/)
  })

  test('a client certificate logs in', async () => {
    const url = `${database(byName, 'bycert')}?sslmode=verify-full&sslrootcert=${file('ca.crt')}`
    expect(await isEncrypted(`${url}&sslcert=${file('user.crt')}&sslkey=${file('user.key')}`)).toBe(true)
    expect(await refusal(url)).toBe('28000')
  })
})

describe('a fallback', () => {
  test('happens for allow and prefer alone, where the server refuses the first way', async () => {
    expect(await isEncrypted(`${database(byName, 'onlytls')}?sslmode=allow`)).toBe(true)
    expect(await isEncrypted(`${database(byName, 'neverssl')}?sslmode=prefer`)).toBe(false)
    expect(await refusal(`${database(byName, 'onlytls')}?sslmode=disable`)).toBe('28000')
    expect(await refusal(`${database(byName, 'neverssl')}?sslmode=require`)).toBe('28000')
  })

  test('never happens on a server without TLS but for prefer', async () => {
    await using plain = await startCluster()
    expect(await isEncrypted(`${plain.url}?sslmode=prefer`)).toBe(false)
    for (const mode of ['require', 'verify-full']) {
      expect(await refusal(`${plain.url}?sslmode=${mode}`)).toBe('The server does not support SSL connections')
    }
  })
})

describe('channel binding', () => {
  test('holds over TLS, and is refused where the login cannot be bound', async () => {
    const url = `${byName}?sslmode=require&channel_binding=require`
    expect(await isEncrypted(url)).toBe(true)
    expect(await refusal(`${byName}?sslmode=disable&channel_binding=require`)).toBe('LIFEGUARD_LOGIN_FAILED')
    const cert = `sslcert=${file('user.crt')}&sslkey=${file('user.key')}`
    expect(await refusal(`${database(byName, 'bycert')}?sslmode=require&channel_binding=require&${cert}`)).toBe(
      'LIFEGUARD_LOGIN_FAILED',
    )
  })
})

test('a statement is cancelled on the server over TLS', async () => {
  const pool = testPool(`${byName}?sslmode=verify-full&sslrootcert=${file('ca.crt')}`, { max: 1 })
  await pool.query('select 1')
  const error = await rejection(pool.query('select pg_sleep(60)', [], { timeoutMs: 100 }))
  expect(error.code).toBe('LIFEGUARD_TIMEOUT')
  const { rows } = await pool.query('select ssl from pg_stat_ssl where pid = pg_backend_pid()')
  expect(rows).toEqual([{ ssl: true }])
})

test('a file that is not there is said at once, with its path', () => {
  expect(() => testPool(`${byName}?sslrootcert=/nowhere/ca.crt`)).toThrow(
    'sslrootcert is "/nowhere/ca.crt", which cannot be read (ENOENT); allowed: the path of a PEM file',
  )
})
