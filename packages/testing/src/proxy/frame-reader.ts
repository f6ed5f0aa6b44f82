import { type Direction, ToClient, ToServer } from './messages.js'

/** What a FrameReader reports of the stream. Answering false stops the reader at that very boundary. */
export interface FrameVisitor {
  /**
   * A message begins. `prefix` is the start of its body, as many bytes as the reader inspects of this type (a view:
   * copy what outlives the call). False stops before its first byte; when the bytes are presented again, the message is
   * not announced a second time.
   */
  begin(code: number, prefix: Buffer): boolean
  /** The last byte of the message was passed. False stops right after it. */
  end(code: number): boolean
  /** Nothing can be seen from here on: TLS began unasked, or the bytes are not PostgreSQL's protocol. */
  blinded(why: 'tls' | 'malformed'): void
}

/** How much of a statement's text is looked at. */
export const inspectedTextBytes = 1024

/** PostgreSQL itself refuses a longer startup packet (MAX_STARTUP_PACKET_LENGTH). */
const maxStartupBytes = 10_000

/** The server's own limit for one message (PQ_LARGE_MESSAGE_LIMIT) is MaxAllocSize, just below 1 GiB. */
const maxMessageBytes = 0x40000000

/** A TLS record starts with this byte; no startup packet does, as their length is below 64 KiB. */
const tlsHandshake = 0x16

const requestCodes = new Map<number, number>([
  [80877102, ToServer.CancelRequest],
  [80877103, ToServer.SSLRequest],
  [80877104, ToServer.GSSENCRequest],
])

const inspected: Readonly<Record<Direction, Uint16Array>> = {
  'to-server': inspectionTable([
    [ToServer.Query, inspectedTextBytes],
    [ToServer.Parse, inspectedTextBytes],
    [ToServer.Bind, 512],
    [ToServer.Execute, 256],
    [ToServer.Close, 256],
  ]),
  'to-client': inspectionTable([[ToClient.CommandComplete, 128]]),
}

/**
 * Finds the message boundaries of one direction of a PostgreSQL connection, over chunks cut anywhere.
 * It buffers nothing: `read` says how many bytes may go on, and the caller presents the rest again in front of the next
 * chunk. The rest is never more than a header and the inspected prefix, however large the message.
 */
export class FrameReader {
  readonly #direction: Direction
  readonly #inspect: Uint16Array
  #mode: 'startup' | 'typed' | 'opaque'
  #code = 0
  /** Bytes of the current message, header included, that were not passed yet. */
  #left = 0
  #announced = false
  #answersExpected = 0

  constructor(direction: Direction) {
    this.#direction = direction
    this.#inspect = inspected[direction]
    this.#mode = direction === 'to-server' ? 'startup' : 'typed'
  }

  /** True when nothing can be seen in this stream any more: it is encrypted or not PostgreSQL's. */
  get opaque(): boolean {
    return this.#mode === 'opaque'
  }

  /** From here on every byte is passed unseen. */
  becomeOpaque(): void {
    this.#mode = 'opaque'
  }

  /** The server owes a single byte, not a message: the answer to SSLRequest or GSSENCRequest. */
  expectAnswerByte(): void {
    this.#answersExpected++
  }

  /** Passes what it can of `bytes` and returns how many bytes that is. */
  read(bytes: Buffer, visitor: FrameVisitor): number {
    let at = 0
    for (;;) {
      if (this.#mode === 'opaque') return bytes.length
      if (this.#left === 0) {
        if (at === bytes.length || !this.#readHeader(bytes, at, visitor)) return at
        continue
      }
      const step = Math.min(this.#left, bytes.length - at)
      at += step
      this.#left -= step
      if (this.#left > 0) return at
      if (!visitor.end(this.#code)) return at
    }
  }

  /** False: stay in front of this message, either for want of bytes or because the visitor said so. */
  #readHeader(bytes: Buffer, at: number, visitor: FrameVisitor): boolean {
    const available = bytes.length - at
    if (this.#mode === 'startup') return this.#readStartupHeader(bytes, at, available, visitor)
    // A server too busy for more may answer with an ErrorResponse instead of the byte.
    if (this.#answersExpected > 0 && bytes[at] === ToClient.ErrorResponse) this.#answersExpected = 0
    if (this.#answersExpected > 0) {
      if (!this.#announce(ToClient.EncryptionAnswer, bytes.subarray(at, at + 1), 1, visitor)) return false
      this.#answersExpected--
      return true
    }
    if (available < 5) return false
    const code = bytes[at] ?? 0
    const length = bytes.readUInt32BE(at + 1)
    if (length < 4 || length > maxMessageBytes) return this.#giveUp(visitor, 'malformed')
    const prefix = Math.min(length - 4, this.#inspect[code] ?? 0)
    if (available < 5 + prefix) return false
    return this.#announce(code, bytes.subarray(at + 5, at + 5 + prefix), length + 1, visitor)
  }

  #readStartupHeader(bytes: Buffer, at: number, available: number, visitor: FrameVisitor): boolean {
    if (bytes[at] === tlsHandshake) {
      // TLS without asking first (sslnegotiation=direct, PostgreSQL 17): never any plain message.
      return this.#giveUp(visitor, 'tls')
    }
    if (available < 8) return false
    const length = bytes.readUInt32BE(at)
    if (length < 8 || length > maxStartupBytes) return this.#giveUp(visitor, 'malformed')
    if (available < length) return false
    const code = requestCodes.get(bytes.readUInt32BE(at + 4)) ?? ToServer.StartupMessage
    if (!this.#announce(code, bytes.subarray(at + 4, at + length), length, visitor)) return false
    if (code === ToServer.StartupMessage) this.#mode = 'typed'
    return true
  }

  #announce(code: number, prefix: Buffer, length: number, visitor: FrameVisitor): boolean {
    if (!this.#announced && !visitor.begin(code, prefix)) {
      this.#announced = true
      return false
    }
    this.#announced = false
    this.#code = code
    this.#left = length
    return true
  }

  #giveUp(visitor: FrameVisitor, why: 'tls' | 'malformed'): boolean {
    this.becomeOpaque()
    visitor.blinded(why)
    return true
  }

  /** For messages of bugs. */
  toString(): string {
    return `FrameReader(${this.#direction}, ${this.#mode}, ${this.#left} bytes of message ${this.#code} left)`
  }
}

function inspectionTable(limits: readonly (readonly [code: number, bytes: number])[]): Uint16Array {
  const table = new Uint16Array(256)
  for (const [code, bytes] of limits) table[code] = bytes
  return table
}
