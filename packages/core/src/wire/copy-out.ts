import type { Duplex } from 'node:stream'
import { inNoContext } from '../base/no-context.js'
import { CopyFrames } from './copy-frames.js'
import type { CopyResult } from './copy-in.js'
import { countOf, Exchange, type Messages } from './exchange.js'
import type { Wire } from './operation.js'
import type { CommandCompleteMessage } from './pg-internals.js'
import { prepared } from './prepared-values.js'
import type { ReportedOutcome } from './reported.js'
import type { Prelude } from './statement.js'

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
   * @param checked the query inside of the COPY with its placeholders and values: it is parsed and bound ahead, but not
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

  protected override get statement(): string {
    return this.#command
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
    // The socket goes on in the context of whoever resumes it, and what comes behind the COPY is for others.
    inNoContext(() => this.#stream?.resume())
  }

  protected override onInterrupt(): void {
    this.#isDropping = true
    this.resume()
  }

  /** The form in which the bytes come when the frames could not be read apart: see CopyFrames. */
  protected override onCopyData(chunk: Buffer): void {
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
