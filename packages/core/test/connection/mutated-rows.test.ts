import { EventEmitter } from 'node:events'
import { Duplex } from 'node:stream'
import { inspect, isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { BrokenRow } from '../../src/connection/column-readers.js'
import { Connection } from '../../src/connection/connection.js'
import { readMessages } from '../../src/connection/message-reader.js'
import {
  type Field,
  ResultBase,
  type ResultInternals,
  type RowDescriptionMessage,
  type TypeParsers,
  type WireConnection,
} from '../../src/connection/pg-internals.js'
import { applyShape, type QueryResult, type RowShape, shapeOf } from '../../src/connection/result.js'
import { readerFor, type ShapeReader } from '../../src/connection/row-reader.js'
import { Statement } from '../../src/connection/statement.js'
import { systemClock } from '../../src/deadline/clock.js'
import { noDeadline } from '../../src/deadline/deadline.js'
import { ProtocolViolationError } from '../../src/errors/operation-errors.js'
import { LoginError } from '../../src/errors/pool-errors.js'
import { cstring, int32, login, message, ready, rowDescription } from '../support/backend-messages.js'
import { collectGarbage } from '../support/garbage.js'
import { anyMutation, anyMutations, anyPieces, inPieces, mutated } from '../support/mutated-frames.js'
import { longEnough, seeded } from '../support/seeded.js'
import { eventually } from '../support/test-pool.js'
import { anyRow, rowBody } from '../support/wire-rows.js'

const types = pg.types as unknown as TypeParsers

/** The answer to a statement. */
interface Answer {
  readonly frames: readonly Buffer[]
  readonly rowMode: 'array' | undefined
  /** Its columns, where the server does not say them as they are known; what reads its rows is kept with them. */
  readonly shape: RowShape | undefined
}

const parsed = message('1')
const bound = message('2')
const complete = (rows: number): Buffer => message('C', cstring(`SELECT ${rows}`))
const notice = message('N', cstring('SNOTICE'), cstring('C00000'), cstring('Mwell'), Buffer.from([0]))
const setting = message('S', cstring('application_name'), cstring('x'))
const failure = message('E', cstring('SERROR'), cstring('C22012'), cstring('Mdivision by zero'), Buffer.from([0]))
const notification = message('A', int32(7), cstring('channel'), cstring('payload'))

/** Answers whose columns come with them, of random types and values. */
const described: readonly Answer[] = fc
  .sample(anyRow, { numRuns: 500, seed: 17 })
  // A zero ends a name.
  .filter((columns) => !columns.some(({ name }) => name.includes('\0')))
  .map((columns) => {
    const values = columns.map(({ text }) => (text === null ? null : Buffer.from(text)))
    const rows = [values, values.map((value, n) => (n % 2 === 0 ? null : value))].map(rowBody)
    return { columns, rows }
  })
  .filter(({ rows }) => rows.every((row) => row.length < 200))
  .slice(0, 100)
  .map(({ columns, rows }, n) => ({
    frames: [
      parsed,
      bound,
      rowDescription(columns),
      ...(n % 4 === 0 ? [notice] : []),
      ...rows.map((row) => message('D', row)),
      ...(n % 5 === 0 ? [failure] : [complete(rows.length)]),
      ...(n % 3 === 0 ? [setting, notification] : []),
      ready(n % 7 === 0 ? 'T' : 'I'),
    ],
    rowMode: n % 2 === 0 ? undefined : 'array',
    shape: undefined,
  }))

const instant = Buffer.from('00029fa1b2c3d4e5', 'hex')

function fieldsOf(columns: readonly (readonly [name: string, oid: number])[]): Field[] {
  return columns.map(([name, dataTypeID]) => ({
    name,
    tableID: 0,
    columnID: 0,
    dataTypeID,
    dataTypeSize: -1,
    dataTypeModifier: -1,
    format: 'text',
  }))
}

/** Answers to prepared statements, in the binary format where that is asked for; their rows are soon read by compiled code. */
const known: readonly Answer[] = ([undefined, 'array'] as const).map((rowMode) => ({
  frames: [
    bound,
    message('D', rowBody([Buffer.from('12'), instant, Buffer.from([1, 2, 3]), Buffer.from('hä')])),
    message('D', rowBody([null, instant, null, Buffer.from('')])),
    complete(2),
    ready(),
  ],
  rowMode,
  shape: shapeOf(
    fieldsOf([
      ['n', 23],
      ['__proto__', 1184],
      ['bytes', 17],
      ['"]: process.exit(), ["', 25],
    ]),
  ),
}))

/** What came of the messages of a session. */
interface Seen {
  /** What each caller got, in turn. */
  readonly rows: unknown[][]
  readonly messages: string[]
  error: unknown
}

/** Reads answers as a session does, a caller for each. */
function receive(answers: readonly Answer[], pieces: Iterable<Buffer>): Seen {
  const seen: Seen = { rows: [], messages: [], error: undefined }
  const protocol = new EventEmitter() as WireConnection
  const stream = new EventEmitter() as Duplex
  let result: ResultInternals | undefined
  let reader: ShapeReader | undefined
  const next = (): void => {
    const { rowMode, shape } = answers[seen.rows.length] ?? {}
    seen.rows.push([])
    result = undefined
    reader = undefined
    if (shape === undefined) return
    result = new ResultBase(rowMode, types)
    applyShape(result, shape, types)
    reader = readerFor(result, shape, true)
  }
  let isOpen = false
  readMessages(
    protocol,
    (said, messages) => {
      messages.isOpening = false
      // The first one is there to say so.
      if (!isOpen) {
        isOpen = true
        return
      }
      seen.messages.push(`${said.name} ${said.length}`)
      if (said.name === 'rowDescription') {
        result = new ResultBase(answers[seen.rows.length - 1]?.rowMode, types)
        result.addFields((said as unknown as RowDescriptionMessage).fields)
        reader = readerFor(result, undefined)
      } else if (said.name === 'dataRow') seen.rows.at(-1)?.push((said as { readonly fields?: unknown }).fields)
      else if (said.name === 'readyForQuery') next()
    },
    (bytes, at, stop) => {
      if (reader === undefined) return false
      try {
        seen.rows.at(-1)?.push(reader.read(bytes, at, stop))
      } catch (error) {
        if (error instanceof BrokenRow) throw error
        // Of a parser of values, as for `pg`: it costs one caller his answer.
        seen.rows.at(-1)?.push(String(error))
      }
      return true
    },
    (error) => {
      if (seen.error !== undefined) throw new Error('failed twice')
      seen.error = error
    },
  )
  next()
  protocol.attachListeners(stream)
  stream.emit('data', notice)
  for (const piece of pieces) stream.emit('data', piece)
  if (seen.error !== undefined) {
    const { length } = seen.messages
    stream.emit('data', ready())
    expect(seen.messages).toHaveLength(length)
  }
  return seen
}

/** A few answers, the one after the other. */
interface Session {
  readonly answers: readonly Answer[]
  readonly frames: readonly Buffer[]
  /** What came when so many messages had been read; made when it is asked for. */
  readonly seenAfter: (Seen | undefined)[]
}

const sessions: readonly Session[] = described.flatMap((answer, n) => {
  const answers = [answer, known[n % known.length] as Answer]
  if (n % 2 === 0) answers.reverse()
  return [{ answers, frames: answers.flatMap(({ frames }) => frames), seenAfter: [] }]
})

/** What was read before the message of this number. */
function seenBefore({ answers, frames, seenAfter }: Session, first: number): Seen {
  const seen = seenAfter[first] ?? receive(answers, [Buffer.concat(frames.slice(0, first))])
  seenAfter[first] = seen
  return seen
}

/** The same values. Dates that are none are not equal by themselves. */
function isSame(one: unknown, other: unknown): boolean {
  return isDeepStrictEqual(one, other) || inspect(one, { depth: null }) === inspect(other, { depth: null })
}

/** `fn`, and the most memory that it asked for at once to read messages. */
function withLargest<T>(fn: () => T): { readonly value: T; readonly largest: number } {
  const { allocUnsafe } = Buffer
  let largest = 0
  Buffer.allocUnsafe = (size) => {
    largest = Math.max(largest, size)
    return allocUnsafe(size)
  }
  try {
    return { value: fn(), largest }
  } finally {
    Buffer.allocUnsafe = allocUnsafe
  }
}

describe('messages that something has happened to', () => {
  test('are read whole before that happens', () => {
    expect(sessions).toHaveLength(100)
    for (const session of sessions) {
      const seen = seenBefore(session, session.frames.length)
      expect(seen.error).toBeUndefined()
      // The last one waits for an answer that is not asked for.
      expect(seen.rows.map(({ length }) => length)).toEqual([2, 2, 0])
    }
  })

  test(
    'end the session or are read, in whatever pieces they come, and what came before them is as it was',
    async () => {
      const run = (which: number, mutations: Parameters<typeof mutated>[1], lengths: readonly number[]): void => {
        const session = sessions[which % sessions.length] as Session
        const { bytes, first } = mutated(session.frames, mutations)
        const { value: whole, largest } = withLargest(() => receive(session.answers, [bytes]))
        // Whatever length a message says that it has.
        if (largest > 2 * bytes.length) expect.unreachable(`${largest} bytes were allocated for ${bytes.length}`)
        const { error } = whole
        // The second is for a login of a kind that `pg` does not have.
        if (!(error === undefined || error instanceof ProtocolViolationError || error instanceof LoginError))
          throw error
        // A byte at a time takes longest.
        for (const pieces of which % 8 === 0 ? [[1], lengths] : [lengths]) {
          const { value: seen, largest } = withLargest(() => receive(session.answers, inPieces(bytes, pieces)))
          if (largest > 2 * bytes.length) expect.unreachable(`${largest} bytes were allocated for ${bytes.length}`)
          const same =
            isSame(seen.rows, whole.rows) &&
            isSame(seen.messages, whole.messages) &&
            String(seen.error) === String(error)
          if (!same) expect.unreachable(`in pieces of ${pieces}: ${inspect(seen)}, not ${inspect(whole)}`)
        }
        const before = seenBefore(session, first)
        const isOver = before.rows.length - 1
        for (const [n, rows] of before.rows.entries()) {
          const found = whole.rows[n] ?? []
          const expected = n < isOver ? found : found.slice(0, rows.length)
          if (!isSame(expected, rows)) expect.unreachable(`${inspect(found)}, not ${inspect(rows)} first`)
        }
      }
      fc.assert(fc.property(fc.nat(), anyMutations, anyPieces, run), seeded(2_000))
      await collectGarbage()
      const before = process.memoryUsage()
      fc.assert(fc.property(fc.nat(), anyMutations, anyPieces, run), seeded(18_000))
      // What nobody holds any more may take the engine several turns to find.
      await eventually('what was read is not held', async () => {
        await collectGarbage()
        const after = process.memoryUsage()
        return after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers < 32 * 1_048_576
      })
    },
    longEnough(120_000),
  )
})

/** A socket that nobody is at the other end of. */
class LooseSocket extends Duplex {
  connect(): this {
    return this
  }
  setNoDelay(): this {
    return this
  }
  setKeepAlive(): this {
    return this
  }
  override _read(): void {
    // What comes in is emitted by the test.
  }
  override _write(_chunk: unknown, _encoding: unknown, done: () => void): void {
    done()
  }
}

interface OpenSession {
  readonly socket: LooseSocket
  readonly connection: Connection
}

async function openSession(): Promise<OpenSession> {
  const socket = new LooseSocket()
  const config = {
    stream: () => socket,
    host: '127.0.0.1',
    port: 1,
    user: 'u',
    database: 'd',
    password: 'p',
    ssl: false,
  }
  const opening = Connection.open(config as pg.ClientConfig, systemClock)
  socket.emit('connect')
  socket.emit('data', login)
  return { socket, connection: await opening }
}

/** The callers of a session, each with a letter that stands in all that the server has for him. */
const callers = ['A', 'J', 'S', 'Z']
const tagOf = (letter: string): string => letter.repeat(12)
const columns = [
  { name: 'tag', oid: 25 },
  { name: 'at', oid: 1184 },
  { name: 'n', oid: 23 },
]

/** Rows for one caller: as text at first, and with a binary timestamp once the columns are known. */
function rowsFor(letter: string, isKnown: boolean): Buffer[] {
  return [1, 2, 3].map((n) => {
    const at = isKnown ? instant : Buffer.from('2024-01-31 12:00:00+00')
    return message('D', rowBody([Buffer.from(tagOf(letter)), at, Buffer.from(String(n))]))
  })
}

function answerFor(letter: string, isKnown: boolean): Buffer[] {
  const begin = isKnown ? [bound] : [parsed, bound, rowDescription(columns)]
  return [...begin, ...rowsFor(letter, isKnown), complete(3), ready()]
}

function ask({ connection }: OpenSession, name: string): Promise<QueryResult> {
  const statement = new Statement({ text: `select ${name}`, name })
  // With others under way at the same time.
  statement.isSharing = true
  return connection.run(statement, noDeadline)
}

test(
  'nobody gets a row of another caller, and everybody an answer, whatever happens to one message',
  async () => {
    await fc.assert(
      fc.asyncProperty(anyMutation, anyPieces, async (mutation, lengths) => {
        const session = await openSession()
        const { socket } = session
        const first = ask(session, 'known')
        for (const frame of answerFor('K', false)) socket.emit('data', frame)
        expect((await first).rows).toHaveLength(3)
        const isKnown = (n: number): boolean => n % 2 === 0
        const asked = callers.map((letter, n) => ask(session, isKnown(n) ? 'known' : `new_${letter}`))
        const settled = Promise.allSettled(asked)
        const answers = callers.map((letter, n) => answerFor(letter, isKnown(n)))
        const { bytes, first: at } = mutated(answers.flat(), [mutation])
        for (const piece of inPieces(bytes, lengths)) socket.emit('data', piece)
        socket.destroy()
        let from = 0
        for (const [n, outcome] of (await settled).entries()) {
          from += answers[n]?.length ?? 0
          if (outcome.status === 'rejected') {
            expect(outcome.reason).toBeInstanceOf(Error)
            // It was complete before anything happened.
            if (from <= at) throw outcome.reason
          } else {
            const { rows } = outcome.value
            if (from <= at) expect(rows).toHaveLength(3)
            for (const other of callers.toSpliced(n, 1)) expect(inspect(rows)).not.toContain(tagOf(other))
          }
        }
      }),
      seeded(500),
    )
  },
  longEnough(60_000),
)
