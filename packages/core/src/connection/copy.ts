import type { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { nextTurn } from '../deadline/clock.js'
import { thrownError } from '../errors/lifeguard-error.js'
import { inNoContext } from '../observe/context.js'
import { type SqlText, sqlText } from '../sql/sql-text.js'
import { countOf, Exchange, type Messages } from './exchange.js'
import type { Prelude, Wire } from './operation.js'
import { type CommandCompleteMessage, prepared } from './pg-internals.js'
import type { ReportedOutcome } from './reported.js'

type OnData = (chunk: Buffer) => void

const codeOfCopyData = 0x64
const codeOfReady = 0x5a
const headerBytes = 5

/**
 * Stands between a socket and `pg`'s parser while a COPY TO runs: the payload of CopyData goes to `onPayload` as it
 * arrives, in pieces, so that not even one row is ever held as a whole; every other byte goes to the parser. One row is
 * one message, and may have up to a gigabyte.
 *
 * It is put there on a quiet connection and takes itself away at ReadyForQuery. Should the parser be in the middle of a
 * message that the server had begun by itself, which is seen by the first bytes, it stays out of the way: see `isAligned`.
 */
class CopyFrames {
  readonly #stream: Duplex
  readonly #onPayload: OnData
  readonly #onRow: () => void
  readonly #parsers: readonly OnData[]
  readonly #header = Buffer.alloc(headerBytes)
  #headerLength = 0
  #code = 0
  /** Bytes of the message that are still to come. */
  #remaining = 0
  #isFirst = true
  #isThere = true
  readonly #onData: OnData = (chunk) => this.#split(chunk)

  constructor(stream: Duplex, onPayload: OnData, onRow: () => void) {
    this.#stream = stream
    this.#onPayload = onPayload
    this.#onRow = onRow
    this.#parsers = stream.listeners('data') as OnData[]
    for (const parser of this.#parsers) stream.removeListener('data', parser)
    stream.on('data', this.#onData)
  }

  /** Gives the socket back to the parser. Harmless when that has been done. */
  remove(): void {
    if (!this.#isThere) return
    this.#isThere = false
    for (const parser of this.#parsers) this.#stream.on('data', parser)
    this.#stream.removeListener('data', this.#onData)
  }

  #split(chunk: Buffer): void {
    // Payloads are moved together in the chunk they came in, over the headers between them: one piece, and no copy of it.
    let payload = 0
    let at = 0
    let forwarded = 0
    const forward = (to: number): void => {
      if (to > forwarded) for (const parser of this.#parsers) parser(chunk.subarray(forwarded, to))
      forwarded = to
    }
    while (at < chunk.length) {
      if (!this.#isThere) {
        at = chunk.length
        break
      }
      if (this.#remaining === 0) {
        const from = at
        const taken = Math.min(headerBytes - this.#headerLength, chunk.length - at)
        chunk.copy(this.#header, this.#headerLength, at, at + taken)
        this.#headerLength += taken
        at += taken
        if (this.#isFirst && this.#headerLength === headerBytes && !isAligned(this.#header)) {
          const before = Buffer.from(this.#header.subarray(0, headerBytes - taken))
          this.remove()
          if (before.length > 0) for (const parser of this.#parsers) parser(before)
          break
        }
        if (this.#headerLength < headerBytes) {
          // Whose it is will be known with its last byte.
          forward(from)
          forwarded = at
          break
        }
        this.#isFirst = false
        this.#headerLength = 0
        this.#code = this.#header[0] as number
        this.#remaining = this.#header.readUInt32BE(1) - 4
        if (this.#code === codeOfCopyData) {
          forward(from)
          forwarded = at
          this.#onRow()
        } else if (taken < headerBytes) {
          // Its first bytes were held back.
          for (const parser of this.#parsers) parser(Buffer.from(this.#header))
          forwarded = at
        }
      } else {
        const end = Math.min(chunk.length, at + this.#remaining)
        this.#remaining -= end - at
        if (this.#code === codeOfCopyData) {
          if (payload !== at) chunk.copyWithin(payload, at, end)
          payload += end - at
          forwarded = end
        }
        at = end
        if (this.#code === codeOfReady && this.#remaining === 0) {
          if (payload > 0) this.#onPayload(chunk.subarray(0, payload))
          payload = 0
          this.remove()
        }
      }
    }
    if (payload > 0) this.#onPayload(chunk.subarray(0, payload))
    forward(chunk.length)
  }
}

/**
 * Whether these are the first bytes of a message, and not of the rest of one: ParseComplete, CloseComplete; a notice, setting,
 * notification or error of a plausible length. Lengths begin with zero bytes, which the texts in such a rest do not have.
 */
function isAligned(header: Buffer): boolean {
  const code = String.fromCharCode(header[0] as number)
  const length = header.readUInt32BE(1)
  if (code === '1' || code === '3') return length === 4
  return 'NSAE'.includes(code) && length > 4 && length < 65_536
}

/** Settles at the first of these events, and leaves no listener behind. */
export function once(emitter: EventEmitter, events: readonly string[]): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of events) emitter.removeListener(event, done)
      resolve()
    }
    for (const event of events) emitter.on(event, done)
  })
}

/** Where the bytes of a COPY come from. */
export interface CopySource {
  next(): Promise<IteratorResult<Buffer, void>>
  /** No more is wanted. Never throws. */
  stop(): void
}

/** What came of a COPY. */
export interface CopyResult {
  /** Rows that were copied, as the server counted them. */
  readonly rowCount: number
  /** Bytes of data, as they were sent. */
  readonly bytes: number
}

/** A message holds no more: the socket can say that it is full in between, however large a chunk is. */
const mostBytes = 1_048_576
/** After so many bytes the event loop gets its turn, however fast the socket takes them. */
const bytesInTurn = 262_144
const why = 'given up by the client'

/**
 * COPY ... FROM STDIN. Bytes are asked of the source when the socket has taken those before. When the source fails, or
 * the caller gives up, CopyFail makes the server undo it. Sync comes after CopyDone or CopyFail: the server ignores it
 * before. https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-COPY
 */
export class CopyIn extends Exchange<CopyResult> {
  readonly #command: string
  readonly #source: CopySource
  readonly #onBytes: (bytes: number) => void
  #bytes = 0
  #rowCount = 0
  /** There once the server has asked for the data. */
  #messages: Messages | undefined
  /** Nothing more is read or written, for whatever reason. */
  #isOver = false

  constructor(command: string, preludes: readonly Prelude[], source: CopySource, onBytes: (bytes: number) => void) {
    super(preludes)
    this.#command = command
    this.label = command
    this.#source = source
    this.#onBytes = onBytes
  }

  override get reportedOutcome(): ReportedOutcome {
    return { command: 'COPY', rowCount: this.#rowCount }
  }

  override get outcome(): CopyResult {
    return { rowCount: this.#rowCount, bytes: this.#bytes }
  }

  protected override begin(messages: Messages): void {
    messages.parse(this.#command)
    messages.bind([])
    messages.execute()
    // No Sync yet; the server sends what it has when it is ready for the data, or has failed.
  }

  protected override onComplete(tag: CommandCompleteMessage | undefined): void {
    if (tag !== undefined) this.#rowCount = countOf(tag)
  }

  protected override onCopyIn(messages: Messages): boolean {
    this.#messages = messages
    if (this.#isOver) this.#refuse(messages)
    else void this.#pump(messages)
    return true
  }

  protected override onError(): void {
    this.#end()
  }

  override interrupt(): void {
    if (this.#isOver) return
    this.#end()
    if (this.#messages !== undefined) this.#refuse(this.#messages)
  }

  async #pump(messages: Messages): Promise<void> {
    const { stream } = messages
    const onClose = (): void => this.#end()
    stream.once('close', onClose)
    let turnedAt = 0
    try {
      for (;;) {
        const next = await this.#source.next()
        if (this.#isOver) return
        if (next.done === true) break
        await this.#write(stream, next.value)
        if (this.#isOver) return
        if (this.#bytes - turnedAt >= bytesInTurn) {
          // A socket that takes everything at once says so without a turn of the loop: an error would never be read.
          turnedAt = this.#bytes
          await nextTurn()
          if (this.#isOver) return
        }
      }
      this.#isOver = true
      messages.copyDone()
      messages.sync()
      messages.flush()
    } catch (error) {
      if (this.#isOver) return
      this.failure ??= thrownError(error)
      this.#end()
      this.#refuse(messages)
    } finally {
      stream.removeListener('close', onClose)
    }
  }

  async #write(stream: Duplex, chunk: Buffer): Promise<void> {
    for (let from = 0; from < chunk.length && !this.#isOver; from += mostBytes) {
      const piece = chunk.length <= mostBytes ? chunk : chunk.subarray(from, from + mostBytes)
      const header = Buffer.allocUnsafe(5)
      header[0] = codeOfCopyData
      header.writeUInt32BE(piece.length + 4, 1)
      stream.cork()
      stream.write(header)
      stream.write(piece)
      stream.uncork()
      this.#bytes += piece.length
      this.#onBytes(this.#bytes)
      if (stream.writableNeedDrain && !stream.destroyed) await once(stream, ['drain', 'close'])
    }
  }

  #refuse(messages: Messages): void {
    if (this.isSynced) return
    messages.copyFail(why)
    messages.sync()
    messages.flush()
  }

  #end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#source.stop()
  }
}

/** Where the bytes of a COPY go. */
export interface CopySink {
  /** Takes a piece, which belongs to it from then on; false when it wants no more for now. */
  push(chunk: Buffer): boolean
  /** Told of each piece before it is pushed: bytes and messages (rows, in the text formats) so far. */
  progress(bytes: number, rows: number): void
}

/** A query with its values, as it stands inside of a COPY. */
export interface CopiedQuery {
  readonly text: string
  readonly values: readonly unknown[]
}

/**
 * COPY ... TO STDOUT. A sink that is full stops the socket, and through it the server.
 * https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-COPY
 */
export class CopyOut extends Exchange<CopyResult> {
  readonly #command: string
  readonly #checked: CopiedQuery | undefined
  readonly #sink: CopySink
  #bytes = 0
  #rows = 0
  #rowCount = 0
  #frames: CopyFrames | undefined
  #stream: Duplex | undefined
  /** Nobody wants the rest any more: it is read and dropped. */
  #isDropping = false
  #isStopped = false
  /** Those of what is checked, as they are sent. */
  #values: readonly unknown[] = []
  /** When the first of the data came. */
  #firstAt: number | undefined
  #now: () => number = never

  /**
   * @param label the command as it is reported: without values
   * @param checked the query inside of the COPY with its placeholders and values: it is parsed and bound before, but not
   * run, so that the server refuses a placeholder that is none, such as one inside of quotes
   */
  constructor(command: string, label: string, preludes: readonly Prelude[], sink: CopySink, checked?: CopiedQuery) {
    super(preludes)
    this.#command = command
    this.label = label
    this.#sink = sink
    this.#checked = checked
  }

  override get reportedOutcome(): ReportedOutcome {
    return { command: 'COPY', rowCount: this.#rowCount }
  }

  override get firstRowMs(): number | undefined {
    return this.#firstAt === undefined ? undefined : this.#firstAt - this.sentAt
  }

  override get outcome(): CopyResult {
    return { rowCount: this.#rowCount, bytes: this.#bytes }
  }

  protected override get statement(): SqlText {
    return sqlText(this.#command)
  }

  /** @throws what a value throws that cannot be sent; nothing has been sent then */
  override write(wire: Wire): void {
    if (this.#checked !== undefined) this.#values = prepared(this.#checked.values)
    super.write(wire)
  }

  protected override begin(messages: Messages): void {
    this.#stream = messages.stream
    this.#now = messages.now
    this.#frames = new CopyFrames(
      messages.stream,
      (chunk) => this.#take(chunk),
      () => {
        this.#rows += 1
      },
    )
    if (this.#checked !== undefined) {
      messages.parse(this.#checked.text)
      messages.bind(this.#values)
    }
    messages.parse(this.#command)
    messages.bind([])
    messages.execute()
    messages.sync()
  }

  /** The sink wants more. */
  resume(): void {
    if (!this.#isStopped) return
    this.#isStopped = false
    // The socket goes on in the context of whoever resumes it, and what comes after the COPY is for others.
    inNoContext(() => this.#stream?.resume())
  }

  override interrupt(): void {
    this.#isDropping = true
    this.resume()
  }

  /** The form in which the bytes come when the frames could not be read apart: see CopyFrames. */
  override handleCopyData(chunk: Buffer): void {
    this.#rows += 1
    // A view into the parser's buffer, which it will write over.
    this.#take(Buffer.from(chunk))
  }

  protected override onComplete(tag: CommandCompleteMessage | undefined): void {
    if (tag !== undefined) this.#rowCount = countOf(tag)
    this.#finish()
  }

  protected override onError(): void {
    this.#isDropping = true
    if (!this.sent) this.#frames?.remove()
    this.#finish()
  }

  /** The socket is for whoever comes next, however full the sink may be. */
  #finish(): void {
    this.resume()
    this.#stream = undefined
  }

  #take(chunk: Buffer): void {
    this.#firstAt ??= this.#now()
    if (this.#isDropping) return
    this.#bytes += chunk.length
    this.#sink.progress(this.#bytes, this.#rows)
    if (this.#sink.push(chunk) || this.#isDropping) return
    this.#isStopped = true
    this.#stream?.pause()
  }
}

function never(): never {
  throw new Error('bug: data of a COPY that has not begun')
}
