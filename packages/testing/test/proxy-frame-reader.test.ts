import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FrameReader, type FrameVisitor } from '../src/proxy/frame-reader.js'
import { type Direction, messageCode, messageName, ToClient, ToServer } from '../src/proxy/messages.js'

interface Message {
  readonly name: string
  readonly body: Buffer
}

function encode(direction: Direction, { name, body }: Message): Buffer {
  const header = Buffer.alloc(5)
  header[0] = messageCode(direction, name) ?? 0
  header.writeUInt32BE(body.length + 4, 1)
  return Buffer.concat([header, body])
}

function startup(code: number, rest = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(8)
  header.writeUInt32BE(8 + rest.length, 0)
  header.writeUInt32BE(code, 4)
  return Buffer.concat([header, rest])
}

const startupMessage = startup(196608, Buffer.from('user\0app\0\0'))

/** Feeds chunks as a pipe does, stopping wherever `stops` says so, and records everything. */
function feed(reader: FrameReader, direction: Direction, chunks: readonly Buffer[], stops: () => boolean) {
  const events: string[] = []
  const passed: Buffer[] = []
  let mostHeld = 0
  const visitor: FrameVisitor = {
    begin: (code, prefix) => {
      events.push(`${messageName(direction, code)} ${prefix.toString('latin1')}`)
      return !stops()
    },
    end: (code) => {
      events.push(`/${messageName(direction, code)}`)
      return !stops()
    },
    blinded: (why) => events.push(`blinded: ${why}`),
  }
  let rest: Buffer = Buffer.alloc(0)
  for (const chunk of chunks) {
    let bytes = Buffer.concat([rest, chunk])
    for (;;) {
      const before = events.length
      const step = reader.read(bytes, visitor)
      passed.push(bytes.subarray(0, step))
      bytes = bytes.subarray(step)
      if (events.length === before) break
    }
    rest = bytes
    mostHeld = Math.max(mostHeld, rest.length)
  }
  return { events, passed: Buffer.concat(passed), rest, mostHeld }
}

function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b)
  return [...at, bytes.length].map((end, index) => bytes.subarray(at[index - 1] ?? 0, end))
}

const anyMessages = (direction: Direction, names: readonly string[]): fc.Arbitrary<Message[]> =>
  fc.array(
    fc.record({
      name: fc.constantFrom(...names),
      body: fc.uint8Array({ maxLength: direction === 'to-server' ? 3000 : 600 }).map((bytes) => Buffer.from(bytes)),
    }),
    { maxLength: 12 },
  )

describe('the frame reader', () => {
  test.each<[Direction, readonly string[]]>([
    ['to-server', ['Query', 'Parse', 'Bind', 'Execute', 'Sync', 'CopyData', 'Terminate']],
    ['to-client', ['DataRow', 'CommandComplete', 'ReadyForQuery', 'ErrorResponse', 'CopyData']],
  ])('finds the same messages %s however the bytes are cut and wherever it is stopped', (direction, names) => {
    const first = direction === 'to-server' ? [startupMessage] : []
    fc.assert(
      fc.property(
        anyMessages(direction, names),
        fc.array(fc.nat(), { maxLength: 40 }),
        fc.infiniteStream(fc.boolean()),
        (messages, cuts, stops) => {
          const bytes = Buffer.concat([...first, ...messages.map((message) => encode(direction, message))])
          const whole = feed(new FrameReader(direction), direction, [bytes], () => false)
          const cut = feed(new FrameReader(direction), direction, split(bytes, cuts), () => stops.next().value)
          expect(cut.events).toEqual(whole.events)
          expect(whole.events.filter((event) => event.startsWith('/'))).toHaveLength(first.length + messages.length)
          expect(cut.passed.equals(bytes)).toBe(true)
          expect(cut.rest).toHaveLength(0)
          expect(cut.mostHeld).toBeLessThan(1024 + 5)
        },
      ),
    )
  })

  test('passes a huge message on as it comes, holding no more than its header', () => {
    const reader = new FrameReader('to-client')
    const header = Buffer.from([ToClient.DataRow, 0x3f, 0xff, 0xff, 0xff])
    expect(feed(reader, 'to-client', [header.subarray(0, 4)], () => false).rest).toHaveLength(4)
    const { passed } = feed(reader, 'to-client', [header, Buffer.alloc(1 << 20)], () => false)
    expect(passed).toHaveLength(5 + (1 << 20))
  })

  test('knows the packets that a connection starts with', () => {
    const bytes = [startup(80877104), startup(80877103), startup(80877102, Buffer.alloc(8))]
    const { events } = feed(new FrameReader('to-server'), 'to-server', bytes, () => false)
    expect(events.filter((event) => event.startsWith('/'))).toEqual(['/GSSENCRequest', '/SSLRequest', '/CancelRequest'])
  })

  test('takes the answer to SSLRequest as one byte, and an error in its place as a message', () => {
    const reader = new FrameReader('to-client')
    reader.expectAnswerByte()
    const authentication = encode('to-client', { name: 'Authentication', body: Buffer.alloc(4) })
    expect(feed(reader, 'to-client', [Buffer.from('N'), authentication], () => false).events).toEqual([
      'EncryptionAnswer N',
      '/EncryptionAnswer',
      'Authentication ',
      '/Authentication',
    ])
    reader.expectAnswerByte()
    const error = encode('to-client', { name: 'ErrorResponse', body: Buffer.from('too many') })
    expect(feed(reader, 'to-client', [error], () => false).events).toEqual(['ErrorResponse ', '/ErrorResponse'])
  })

  test('turns opaque on TLS and on bytes that are no PostgreSQL, and passes them all', () => {
    const hello = Buffer.from([0x16, 3, 1, 0, 200])
    const tls = new FrameReader('to-server')
    expect(feed(tls, 'to-server', [hello], () => false)).toMatchObject({ events: ['blinded: tls'], passed: hello })
    const http = Buffer.from('HTTP/1.1 400 Bad Request')
    const other = new FrameReader('to-client')
    expect(feed(other, 'to-client', [http], () => false)).toMatchObject({
      events: ['blinded: malformed'],
      passed: http,
    })
    expect([tls.opaque, other.opaque]).toEqual([true, true])
  })

  test('every message name has a code of its own', () => {
    for (const codes of [ToServer, ToClient]) {
      expect(new Set(Object.values(codes)).size).toBe(Object.keys(codes).length)
    }
  })
})
