import type { Duplex } from 'node:stream'
import { nextTick } from '../deadline/clock.js'
import { inNoContext } from '../observe/context.js'
import { prepareValue } from './pg-internals.js'

const initialBytes = 2_048
/** A buffer that has grown beyond this is not kept. */
const keptBytes = 65_536
/** What has gathered up to here is written without waiting for the end of the tick. */
const writeAtBytes = 262_144
/** The number of parameters is sent in 16 bits: https://www.postgresql.org/docs/18/protocol-message-formats.html */
const mostValues = 65_535
/** Up to this many characters, a loop is faster than two calls into the runtime. */
const shortText = 24

/** What ends a Bind: no code for a column is text for all. */
const allAsText = Buffer.alloc(2)
const noValues: readonly unknown[] = []

/** A name with the zero that ends it, ready to be copied into messages. */
export function zeroEnded(name: string): Buffer {
  return Buffer.from(`${name}\0`)
}

const unnamed = zeroEnded('')

/**
 * The messages to the server, in the order in which they are to be sent. What gathers in one turn of the event loop is
 * written at once: a write to a socket costs more than a short statement does.
 *
 * Message formats: https://www.postgresql.org/docs/18/protocol-message-formats.html
 */
export class MessageWriter {
  readonly #stream: Duplex
  #buffer: Buffer = Buffer.allocUnsafeSlow(initialBytes)
  #length = 0
  #isScheduled = false
  #isFull = false
  #isDiscarded = false
  /** How many times it was written: what was put in before and is in it no more has left this process. */
  writes = 0

  /** @param onRoom called when the socket takes more again after it had asked for a pause */
  constructor(stream: Duplex, onRoom: () => void) {
    this.#stream = stream
    stream.on('drain', () => {
      this.#isFull = false
      // It comes in the context of whoever wrote last; what is sent now is for others.
      inNoContext(onRoom)
    })
  }

  /** Whether the socket has asked for a pause: what is written now is held in memory. */
  get isFull(): boolean {
    return this.#isFull
  }
  /** Where the next message will begin. */
  get length(): number {
    return this.#length
  }

  /** Takes back everything from this place on. */
  cutTo(length: number): void {
    this.#length = length
  }

  parse(name: string, text: string): void {
    const start = this.#begin(0x50)
    this.#cstring(name)
    this.#cstring(text)
    this.#int16(0)
    this.#end(start)
  }

  /**
   * @param statement its name as `zeroEnded` makes it
   * @throws what a value's own conversion throws; cut the message off then
   */
  /** @param formats the end of the message: in which form each column is wanted; without it all of them as text */
  bind(
    portal: string,
    statement: Buffer = unnamed,
    values: readonly unknown[] = noValues,
    formats: Buffer = allAsText,
  ): void {
    const count = values.length
    if (count > mostValues) throw new RangeError(`a statement takes ${mostValues} values at most, not ${count}`)
    const start = this.#begin(0x42)
    this.#cstring(portal)
    this.#bytes(statement)
    this.#int16(count)
    const codes = this.#length
    this.#room(count * 2 + 2)
    for (let n = 0; n < count * 2; n++) this.#buffer[this.#length++] = 0
    this.#int16(count)
    for (let n = 0; n < count; n++) {
      const value = values[n]
      const ready = typeof value === 'string' ? value : prepareValue(value)
      if (ready === null || ready === undefined) this.#int32(-1)
      else if (typeof ready === 'string') this.#text(ready)
      else {
        const bytes = ready as Buffer
        this.#buffer[codes + n * 2 + 1] = 1
        this.#int32(bytes.length)
        this.#bytes(bytes)
      }
    }
    this.#bytes(formats)
    this.#end(start)
  }

  describePortal(portal: string): void {
    const start = this.#begin(0x44)
    this.#byte(0x50)
    this.#cstring(portal)
    this.#end(start)
  }

  execute(portal: string, rows: number): void {
    const start = this.#begin(0x45)
    this.#cstring(portal)
    this.#int32(rows)
    this.#end(start)
  }

  closeStatement(name: string): void {
    const start = this.#begin(0x43)
    this.#byte(0x53)
    this.#cstring(name)
    this.#end(start)
  }

  sync(): void {
    this.#end(this.#begin(0x53))
  }

  query(text: string): void {
    const start = this.#begin(0x51)
    this.#cstring(text)
    this.#end(start)
  }

  /** Sees to it that what is in here leaves soon: at the end of this tick, or now when there is much of it. */
  post(): void {
    if (this.#length >= writeAtBytes) this.write()
    else if (!this.#isScheduled) {
      this.#isScheduled = true
      nextTick(write, this)
    }
  }

  /** Nothing that is in here, or will be, is to leave any more. */
  discard(): void {
    this.#isDiscarded = true
    this.#length = 0
  }

  /** Hands everything to the socket now. A socket that is closed takes nothing; whoever waits for it will hear that. */
  write(): void {
    this.#isScheduled = false
    const length = this.#length
    if (length === 0 || this.#isDiscarded || !this.#stream.writable) return
    this.#length = 0
    this.writes += 1
    // Copied, as the socket may hold on to it for longer; a big one is handed over whole.
    if (this.#buffer.length > keptBytes) {
      this.#isFull = !this.#stream.write(this.#buffer.subarray(0, length))
      this.#buffer = Buffer.allocUnsafeSlow(initialBytes)
    } else this.#isFull = !this.#stream.write(Buffer.from(this.#buffer.subarray(0, length)))
  }

  /** Starts a message; its length is filled in by `#end`. */
  #begin(code: number): number {
    this.#room(5)
    const start = this.#length
    this.#buffer[start] = code
    this.#length = start + 5
    return start
  }

  #end(start: number): void {
    const length = this.#length - start - 1
    if (length > 0x7fffffff) throw new RangeError(`a message has 2 GB at most, not ${length} bytes`)
    this.#putInt32(start + 1, length)
  }

  #room(bytes: number): void {
    const needed = this.#length + bytes
    if (needed <= this.#buffer.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2))
    this.#buffer.copy(grown, 0, 0, this.#length)
    this.#buffer = grown
  }

  #byte(value: number): void {
    this.#room(1)
    this.#buffer[this.#length++] = value
  }

  #int16(value: number): void {
    this.#room(2)
    this.#buffer[this.#length++] = value >>> 8
    this.#buffer[this.#length++] = value
  }

  #int32(value: number): void {
    this.#room(4)
    this.#putInt32(this.#length, value)
    this.#length += 4
  }

  #putInt32(at: number, value: number): void {
    const buffer = this.#buffer
    buffer[at] = value >>> 24
    buffer[at + 1] = value >>> 16
    buffer[at + 2] = value >>> 8
    buffer[at + 3] = value
  }

  #bytes(bytes: Uint8Array): void {
    this.#room(bytes.length)
    this.#buffer.set(bytes, this.#length)
    this.#length += bytes.length
  }

  #cstring(text: string): void {
    this.#utf8(text)
    this.#byte(0)
  }

  /** A value: its length in bytes, then itself. */
  #text(text: string): void {
    this.#int32(0)
    const start = this.#length
    this.#utf8(text)
    this.#putInt32(start - 4, this.#length - start)
  }

  #utf8(text: string): void {
    const { length } = text
    // One UTF-16 unit is three bytes of UTF-8 at most.
    if (length <= shortText) {
      this.#room(length * 3)
      const buffer = this.#buffer
      let at = this.#length
      let n = 0
      for (; n < length; n++) {
        const unit = text.charCodeAt(n)
        if (unit > 0x7f) break
        buffer[at++] = unit
      }
      if (n === length) {
        this.#length = at
        return
      }
    } else this.#room(length > keptBytes ? Buffer.byteLength(text) : length * 3)
    this.#length += this.#buffer.write(text, this.#length)
  }
}

function write(writer: MessageWriter): void {
  writer.write()
}
