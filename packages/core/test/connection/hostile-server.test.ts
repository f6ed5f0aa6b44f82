import net from 'node:net'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import type { Pool } from '../../src/index.js'
import { rejection, testPool } from '../support/test-pool.js'

const servers: net.Server[] = []
const sockets = new Set<net.Socket>()
afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))))
})

const int16 = (n: number): Buffer => {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(n)
  return bytes
}
const int32 = (n: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(n >>> 0)
  return bytes
}
const text = (value: string): Buffer => Buffer.from(`${value}\0`)
const message = (type: string, ...parts: readonly Buffer[]): Buffer => {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.from(type), int32(body.length + 4), body])
}
const ready = (status = 'I'): Buffer => message('Z', Buffer.from(status))
const ok = message('R', int32(0))
const login = Buffer.concat([ok, message('K', int32(1), int32(2)), ready()])

/** A server that says this at the start of a session, and then this after whatever comes; a byte at a time, if so asked. */
async function serve(atLogin: Buffer, answer: Buffer, isSlow = false): Promise<string> {
  const say = (socket: net.Socket, bytes: Buffer): void => {
    if (isSlow) for (const byte of bytes) socket.write(Buffer.from([byte]))
    else socket.write(bytes)
  }
  const server = net.createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('data', () => {
      say(socket, atLogin)
      socket.on('data', () => say(socket, answer))
    })
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `postgres://u:p@127.0.0.1:${(server.address() as net.AddressInfo).port}/d?sslmode=disable`
}

const hostile = (url: string, options = ''): Pool =>
  testPool(`${url}${options}`, { max: 1, acquireTimeoutMs: 2_000, breaker: false, retryReads: false })

describe('a login out of its order is refused where the channel must be bound, and no password is sent', () => {
  const offer = message('R', int32(10), text('SCRAM-SHA-256-PLUS'), text('SCRAM-SHA-256'), Buffer.from([0]))
  const logins: Readonly<Record<string, Buffer>> = {
    'the end right after the offer': Buffer.concat([offer, ok, ready()]),
    'no password at all': login,
    'ready at once': ready(),
    'the end of an exchange that was not begun': Buffer.concat([message('R', int32(12), Buffer.from('v=x')), login]),
    'its middle, and then the end': Buffer.concat([
      offer,
      message('R', int32(11), Buffer.from('r=x,s=eA==,i=4096')),
      login,
    ]),
    'a password in the clear': message('R', int32(3)),
    'a password by md5': message('R', int32(5), Buffer.from('salt')),
    'SCRAM without the channel': message('R', int32(10), text('SCRAM-SHA-256'), Buffer.from([0])),
    'SCRAM with the channel, without TLS': offer,
  }
  test.each(Object.entries(logins))('%s', async (_, bytes) => {
    const pool = hostile(await serve(bytes, Buffer.alloc(0)), '&channel_binding=require')
    expect(await rejection(pool.query('select 1'))).toMatchObject({
      code: expect.stringMatching(/^LIFEGUARD_(LOGIN_FAILED|PROTOCOL_VIOLATION)$/),
    })
    expect(pool.stats()).toMatchObject({ pool: { total: 0, active: 0 } })
  })
})

const column = message('T', int16(1), text('a'), int32(0), int16(0), int32(25), int16(-1), int32(-1), int16(0))
const row = message('D', int16(1), int32(1), Buffer.from('x'))
const done = message('C', text('SELECT 1'))

describe('a message that cannot be costs its connection alone', () => {
  const answers: Readonly<Record<string, Buffer>> = {
    'a length below its own': Buffer.concat([Buffer.from('D'), int32(3)]),
    'a length of 2 GiB': Buffer.concat([Buffer.from('D'), int32(0x7fffffff)]),
    'a negative length': Buffer.concat([Buffer.from('D'), int32(-1)]),
    'a type that is not known': message('?', int32(1)),
    'more columns than it has': message('D', int16(30_000), int32(1)),
    'a negative count of columns': message('D', int16(-1)),
    'a value longer than its message': message('D', int16(1), int32(100), Buffer.from('x')),
    'a value of a negative length': message('D', int16(1), int32(-2)),
    'text without an end': message('C', Buffer.from('SELECT 1')),
    'a state that is none': ready('X'),
    'a login in the middle of a session': message('R', int32(3)),
  }
  test.each(Object.entries(answers))('%s', async (_, answer) => {
    for (const isSlow of [false, true]) {
      const pool = hostile(await serve(login, answer, isSlow))
      expect(await rejection(pool.query('insert into t values (1)'))).toMatchObject({
        code: 'LIFEGUARD_CONNECTION_LOST',
        sent: true,
        cause: { code: 'LIFEGUARD_PROTOCOL_VIOLATION' },
      })
      expect(pool.stats().pool.active).toBe(0)
    }
  })

  test.each([
    ['two of them', 'insert into t values (1)', 2],
    ['more than a text has statements', "insert into t values (';'); select 1", 4],
    ['without end', 'insert into t values (1)', 200_000],
  ])('more results than statements: %s', async (_, statement, times) => {
    const pool = hostile(await serve(login, Buffer.concat([...Array<Buffer>(times).fill(done), ready()])))
    expect(await rejection(pool.query(statement))).toMatchObject({
      code: 'LIFEGUARD_CONNECTION_LOST',
      cause: { code: 'LIFEGUARD_PROTOCOL_VIOLATION' },
    })
    expect(pool.stats().pool.active).toBe(0)
  })

  test.each([
    ['rows that were not asked for', Buffer.concat([column, row, message('s'), ready('T')])],
    ['an empty statement', Buffer.concat([message('I'), ready('T')])],
    ['nothing', ready('T')],
  ])('what answers a BEGIN that travels with a statement is no answer to the statement: %s', async (_, answer) => {
    const pool = hostile(await serve(login, answer))
    expect(await rejection(pool.withTransaction((tx) => tx.query('insert into t values (1)')))).toMatchObject({
      code: 'LIFEGUARD_CONNECTION_LOST',
      cause: { code: 'LIFEGUARD_PROTOCOL_VIOLATION' },
    })
    expect(pool.stats().pool.active).toBe(0)
  })

  test('a surplus ReadyForQuery is no answer to the next statement', async () => {
    const answer = Buffer.concat([column, row, done, ready(), ready()])
    const pool = hostile(await serve(login, answer))
    const results = await Promise.allSettled([pool.query('select 1'), pool.query('select 2'), pool.query('select 3')])
    for (const one of results) {
      if (one.status === 'fulfilled') expect(one.value.rows).toEqual([{ a: 'x' }])
      else expect(one.reason).toMatchObject({ code: expect.stringMatching(/^LIFEGUARD_/) })
    }
  })
})

test('whatever a server says, at login or after it, each caller gets an answer and the process lives', async () => {
  const piece = fc.oneof(
    fc.constantFrom(column, row, done, ready(), ready('T'), ready('E'), ok, login),
    fc
      .tuple(fc.constantFrom(...'RSKZTDCEIN12nstGHdcAW?'), fc.uint8Array({ maxLength: 40 }))
      .map(([type, body]) => message(type, Buffer.from(body))),
    fc.uint8Array({ minLength: 1, maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
  )
  const bytes = fc.array(piece, { maxLength: 6 }).map((pieces) => Buffer.concat(pieces))
  await fc.assert(
    fc.asyncProperty(fc.boolean(), bytes, bytes, fc.boolean(), async (hasLogin, first, answer, isSlow) => {
      const url = await serve(hasLogin ? Buffer.concat([login, first]) : first, answer, isSlow)
      const pool = testPool(url, {
        max: 1,
        acquireTimeoutMs: 150,
        connectTimeoutMs: 100,
        breaker: false,
        retryReads: false,
      })
      const asked = ['select 1', 'insert into t values (1)', 'select 2'].map((sql) =>
        pool.query(sql, [], { timeoutMs: 200 }).then(
          () => 'answered',
          () => 'refused',
        ),
      )
      const outcomes = await Promise.all(asked)
      expect(outcomes).toHaveLength(3)
      await pool.end({ timeoutMs: 0 })
      expect(pool.stats()).toMatchObject({ pool: { active: 0 }, waits: { waiting: 0 } })
    }),
    { numRuns: 60 },
  )
})

test('a session that ends right after it has answered a cancel: the caller hears of his time, not of the cancel', async () => {
  const cancelled = message(
    'E',
    text('SERROR'),
    text('VERROR'),
    text('C57014'),
    text('Mcanceling statement'),
    Buffer.from([0]),
  )
  const cancelRequest = 80_877_102
  let session: net.Socket | undefined
  const server = net.createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('data', (first) => {
      if (first.readInt32BE(4) !== cancelRequest) {
        session = socket
        socket.write(login)
        return
      }
      session?.end(cancelled)
      socket.end()
    })
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as net.AddressInfo
  const connection = await hostile(`postgres://u:p@127.0.0.1:${port}/d?sslmode=disable`).acquire()
  const error = await rejection(connection.query('select 1', [], { timeoutMs: 50 }))
  expect(error).toMatchObject({ code: 'LIFEGUARD_TIMEOUT' })
  connection.release()
})
