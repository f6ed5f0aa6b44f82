import type { Duplex } from 'node:stream'
import { nextTurn } from '../base/next-turn.js'
import { thrownError } from '../errors/thrown.js'
import { codeOfCopyData } from './copy-frames.js'
import { countOf, Exchange, type Messages } from './exchange.js'
import { once } from './once.js'
import type { CommandCompleteMessage } from './pg-internals.js'
import type { ReportedOutcome } from './reported.js'
import type { Prelude } from './statement.js'

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
 * the caller gives up, CopyFail makes the server undo it. Sync comes behind CopyDone or CopyFail: the server ignores it
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

  protected override onInterrupt(): void {
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
