import { describe, expect, test } from 'vitest'
import type { PoolOptions } from '../../src/index.js'
import { Authority } from '../support/certificates.js'
import { refusedAtOnce, waysToConnect } from '../support/refused-login.js'
import { RogueServer, says, type TlsAnswer } from '../support/rogue-login.js'
import { rejection, testPool } from '../support/test-pool.js'

const authority = new Authority('an authority')
const here = authority.issue('127.0.0.1', true)
const elsewhere = authority.issue('db.example')
const expired = authority.issue('127.0.0.1', true, true)
const { certificate: ca } = authority

const garbage = Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')
const cases: readonly (readonly [string, typeof here, TlsAnswer, PoolOptions['ssl'], object])[] = [
  ['signed by itself', authority, 'tls', true, { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' }],
  ['of an unknown authority', here, 'tls', true, { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' }],
  ['of another host', elsewhere, 'tls', { ca }, { code: 'ERR_TLS_CERT_ALTNAME_INVALID' }],
  ['expired', expired, 'tls', { ca }, { code: 'CERT_HAS_EXPIRED' }],
  ['that nobody sends, as there is no TLS', here, Buffer.from('N'), 'require', { message: /does not support SSL/ }],
  ['that nobody sends, as it is no PostgreSQL', here, garbage, 'require', { message: /establishing an SSL/ }],
  [
    'that nobody sends, as it is no TLS',
    here,
    Buffer.from('S'),
    { ca, cert: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----' },
    { code: /^ERR_OSSL_/ },
  ],
  ['and a key that is none', here, 'tls', { ca, key: 'rubbish', cert: 'rubbish' }, { code: /^ERR_OSSL_/ }],
  [
    'and a bundle of key and certificate that is none',
    here,
    'tls',
    { ca, pfx: 'rubbish' },
    { message: /not enough data/ },
  ],
  [
    'that a check of the caller refuses',
    here,
    'tls',
    { ca, checkServerIdentity: () => new Error('not pinned') },
    { message: /^not pinned$/ },
  ],
  ['and ciphers that there are not', here, 'tls', { ca, ciphers: 'x' }, { code: 'ERR_SSL_NO_CIPHER_MATCH' }],
  ['and a curve that there is not', here, 'tls', { ca, ecdhCurve: 'x' }, { code: 'ERR_CRYPTO_OPERATION_FAILED' }],
  [
    'and an authority that is none',
    here,
    'tls',
    { ca: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----' },
    { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' },
  ],
]

describe.each(cases)('a certificate %s', (_what, issued, answer, ssl, expected) => {
  test.each(waysToConnect)('is reported to %s at once', async (_, connect) => {
    await using server = await RogueServer.start(issued, async (login) => login.say(says.ok), { answer })
    const pool = testPool(server.url, { max: 2, acquireTimeoutMs: 60_000, ssl })
    const error = await refusedAtOnce(pool, connect)
    for (const [field, value] of Object.entries(expected)) {
      const said = String(error[field as 'code'])
      if (value instanceof RegExp) expect(said).toMatch(value)
      else expect(said).toBe(value)
    }
  })
})

test('options that no TLS can begin with are reported at once with direct negotiation, too', async () => {
  await using server = await RogueServer.start(here, async () => undefined)
  const ssl = { ca, pfx: 'rubbish' }
  const pool = testPool(server.url, { max: 1, acquireTimeoutMs: 60_000, ssl, sslNegotiation: 'direct' })
  expect(await rejection(pool.query('select 1'))).toMatchObject({ message: 'not enough data' })
  expect(pool.stats().pool.connectFailed).toBe(1)
})

test('an error that the server sends before it answers for TLS is waited out', async () => {
  const busy = Buffer.from('Ecould not fork new process for connection: no memory\n\0')
  await using server = await RogueServer.start(here, async () => undefined, { answer: busy })
  const pool = testPool(server.url, { max: 1, acquireTimeoutMs: 400, ssl: { ca } })
  const error = await rejection(pool.query('select 1'))
  expect(error).toMatchObject({ code: 'LIFEGUARD_SERVER_UNAVAILABLE', cause: { code: 'LIFEGUARD_CONNECTION_LOST' } })
  expect(pool.stats().pool.connectFailed).toBeGreaterThan(1)
})
