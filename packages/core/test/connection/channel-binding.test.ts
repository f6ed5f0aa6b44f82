import { describe, expect, test } from 'vitest'
import { Authority } from '../support/certificates.js'
import { type LoginScript, message, plain, plus, RogueServer, says } from '../support/rogue-login.js'
import { rejection, testPool } from '../support/test-pool.js'

/** Signs itself: `sslmode=require` verifies nothing, so that the binding alone tells whom one speaks to. */
const issued = new Authority('127.0.0.1')
const password = 'secret'
const { ok, key, ready } = says
const open = [ok, says.parameter, key, ready]

/** What a client sends once it takes itself for logged in. */
async function untilGone(login: Parameters<LoginScript>[0]): Promise<void> {
  while ((await login.hear()) !== undefined);
}

/** Offers the bound mechanism, does the exchange, and goes on with what the server has signed. */
const afterExchange =
  (goOn: (signature: string) => readonly Buffer[], knows = password): LoginScript =>
  async (login) => {
    login.say(says.offer(plus, plain))
    const done = await login.exchange(knows)
    if (done !== undefined) login.say(...goOn(done.signature))
    await untilGone(login)
  }
const saying =
  (...messages: readonly Buffer[]): LoginScript =>
  async (login) => {
    login.say(...messages)
    await untilGone(login)
  }

const scripts: Readonly<Record<string, LoginScript>> = {
  'no authentication at all': saying(...open),
  'ready at once': saying(ready),
  'an offer, and the end with it': saying(says.offer(plus, plain), ...open),
  'an offer without a bound mechanism': async (login) => {
    login.say(says.offer(plain))
    const done = await login.exchange(password)
    if (done !== undefined) login.say(says.final(`v=${done.signature}`), ...open)
    await untilGone(login)
  },
  'an offer of nothing': saying(says.offer()),
  'a bound offer, and then one that is not': async (login) => {
    login.say(says.offer(plus, plain))
    await login.hear()
    login.say(says.offer(plain))
    const done = await login.exchange(password)
    if (done !== undefined) login.say(says.final(`v=${done.signature}`), ...open)
    await untilGone(login)
  },
  'a signature of another password': afterExchange((signature) => [says.final(`v=${signature}`), ...open], 'other'),
  'a signature cut short': afterExchange((signature) => [says.final(`v=${signature.slice(0, 8)}`), ...open]),
  'an empty signature': afterExchange(() => [says.final('v='), ...open]),
  'no signature': afterExchange(() => [says.final(''), ...open]),
  'an error in place of the signature, and the end': afterExchange(() => [says.final('e=other-error'), ...open]),
  'no end of the exchange': afterExchange(() => open),
  'ready before the end of the exchange': afterExchange((signature) => [ready, says.final(`v=${signature}`), ...open]),
  'the login accepted before the end of the exchange': afterExchange((signature) => [
    ok,
    says.final(`v=${signature}`),
    key,
    ready,
  ]),
  'ready, and the login never accepted': afterExchange((signature) => [says.final(`v=${signature}`), ready]),
  'the end of the exchange twice': afterExchange((signature) => [
    says.final(`v=${signature}`),
    says.final(`v=${signature}`),
    ...open,
  ]),
  'the end of the exchange twice, the second one wrong': afterExchange((signature) => [
    says.final(`v=${signature}`),
    says.final('v=AAAA'),
    ...open,
  ]),
  'a second exchange after the first': afterExchange((signature) => [
    says.final(`v=${signature}`),
    says.offer(plain),
    ...open,
  ]),
  'the middle of the exchange twice': afterExchange((signature) => [
    says.proceed('r=x,s=eA==,i=4096'),
    says.final(`v=${signature}`),
    ...open,
  ]),
  'a password in the clear asked for after the exchange': afterExchange((signature) => [
    says.final(`v=${signature}`),
    says.cleartext,
    ...open,
  ]),
  'an error in between, and the end all the same': afterExchange(() => [says.error('ERROR', 'XX000'), ...open]),
  'an error first, and the end': saying(says.error('ERROR', '28000'), ...open),
  'a fatal error in between, and the end all the same': afterExchange(() => [says.error('FATAL', '28P01'), ...open]),
  'a notice in between, and no signature': afterExchange(() => [says.notice, ...open]),
  'the key of a cancel before the login': saying(key, ready),
  'rows before the login': saying(message('D', Buffer.from([0, 0])), ...open),
  md5: saying(says.md5, ...open),
  'a password in the clear': saying(says.cleartext, ...open),
  GSS: saying(says.gss, ...open),
  SSPI: saying(says.sspi, ...open),
  'a nonce that is not of the client': async (login) => {
    login.say(says.offer(plus, plain))
    await login.hear()
    login.say(says.proceed('r=another,s=c2FsdA==,i=4096'), says.final('v=AAAA'), ...open)
    await untilGone(login)
  },
  'a demand for a million rounds of hashing': async (login) => {
    login.say(says.offer(plus, plain))
    const nonce = (await login.hear())?.toString().split('r=').at(-1)
    login.say(says.proceed(`r=${nonce}x,s=c2FsdA==,i=100000000`))
    await untilGone(login)
  },
}

const demand = { max: 1, acquireTimeoutMs: 10_000, breaker: false, channelBinding: 'require' } as const

describe("channelBinding 'require' takes no login that was not verified", () => {
  for (const isSlow of [false, true]) {
    describe(isSlow ? 'that comes a byte at a time' : 'that comes in whole packets', () => {
      test.each(Object.entries(scripts))('%s', async (_, script) => {
        await using server = await RogueServer.start(issued, script, { isSlow })
        const pool = testPool(`${server.url}?sslmode=require`, demand)
        await rejection(pool.query('select 1'))
        // Told at once: nothing that waiting cures.
        expect(pool.stats()).toMatchObject({ pool: { total: 0, connectFailed: 1 } })
        const got = server.logins.flatMap((login) => login.got)
        // Of messages of a login at most the two of the exchange, and never one of a session.
        expect(got.filter((type) => type !== 'startup' && type !== 'p' && type !== 'X')).toEqual([])
      })
    })
  }

  test('a login that was is taken, whole and a byte at a time, and it was bound to this certificate', async () => {
    for (const isSlow of [false, true]) {
      let isBound: boolean | undefined
      const script: LoginScript = async (login) => {
        login.say(says.notice, says.offer(plus, plain))
        const done = await login.exchange(password)
        isBound = done?.isBound
        login.say(says.notice, says.final(`v=${done?.signature}`), ...open)
        while ((await login.hear()) !== undefined) {
          if (login.got.at(-1) === 'Q' || login.got.at(-1) === 'S')
            login.say(message('C', Buffer.from('SELECT 0\0')), ready)
        }
      }
      await using server = await RogueServer.start(issued, script, { isSlow })
      const pool = testPool(`${server.url}?sslmode=require`, { ...demand, statementCacheSize: 0 })
      await using connection = await pool.acquire()
      expect(connection.pid).toBe(1)
      expect(isBound).toBe(true)
    }
  })

  test('no password, nor a proof of one, goes to a server that asks for it in the clear or by md5', async () => {
    for (const bytes of [says.cleartext, says.md5, says.offer(plain)]) {
      await using server = await RogueServer.start(issued, saying(bytes))
      await rejection(testPool(`${server.url}?sslmode=require`, demand).query('select 1'))
      expect(server.logins.map(({ got }) => got.filter((type) => type === 'p'))).toEqual([[]])
    }
  })

  test.each(['prefer', 'require'] as const)(
    'no TLS at the other end is refused at once with sslmode=%s',
    async (mode) => {
      await using server = await RogueServer.start(issued, saying(...open), { answer: Buffer.from('N') })
      const pool = testPool(`${server.url}?sslmode=${mode}`, demand)
      await rejection(pool.query('select 1'))
      expect(pool.stats()).toMatchObject({ pool: { total: 0, connectFailed: 1 } })
      expect(server.logins.flatMap(({ got }) => got).filter((type) => type === 'p')).toEqual([])
    },
  )
})

describe('sslmode', () => {
  test.each(['require', 'verify-ca', 'verify-full'])('%s never goes on without TLS', async (mode) => {
    for (const answer of [Buffer.from('N'), Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')]) {
      await using server = await RogueServer.start(issued, saying(...open), { answer })
      const pool = testPool(server.url, { max: 1, acquireTimeoutMs: 10_000, ssl: sslOf(mode) })
      await rejection(pool.query('select 1'))
      expect(server.logins).toEqual([])
      expect(pool.stats()).toMatchObject({
        pool: { total: 0, connectFailed: 1 },
        servers: [{ breaker: { state: 'closed' } }],
      })
    }
  })

  test('what comes in the clear right behind the yes to TLS is not taken for a part of the session', async () => {
    const answer = Buffer.concat([Buffer.from('S'), ...open])
    await using server = await RogueServer.start(issued, saying(...open), { answer })
    const pool = testPool(`${server.url}?sslmode=require`, { max: 1, acquireTimeoutMs: 10_000 })
    await rejection(pool.query('select 1'))
    expect(pool.stats()).toMatchObject({ pool: { total: 0, connectFailed: 1 } })
  })
})

function sslOf(mode: string): 'require' | { readonly ca: string; readonly checkServerIdentity?: () => undefined } {
  if (mode === 'require') return 'require'
  const { certificate: ca } = issued
  return mode === 'verify-full' ? { ca } : { ca, checkServerIdentity: () => undefined }
}
