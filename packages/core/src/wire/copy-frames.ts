import type { Duplex } from 'node:stream'

type OnData = (chunk: Buffer) => void

export const codeOfCopyData = 0x64
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
export class CopyFrames {
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
