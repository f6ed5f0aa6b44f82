import type { Duplex } from 'node:stream'
import pg from 'pg'
import { ProtocolViolationError } from '../errors/operation-errors.js'
import { LoginError } from '../errors/pool-errors.js'
import type { WireConnection } from './pg-internals.js'

/** The server allocates no more for one message. https://github.com/postgres/postgres/blob/REL_18_STABLE/src/include/utils/memutils.h */
const mostBytes = 0x4000_0000
/** Nothing that belongs to a login is as long. */
const mostBytesOfLogin = 1_048_576
const headerBytes = 5
/** The type of a row. */
const dataRow = 0x44
const none = Buffer.alloc(0)

/** A message of the server in the form that `pg` gives it, whose queries, cursors and streams read them too. */
export interface ServerMessage {
  /** As `pg` names it, and its event. */
  readonly name: string
  /** In bytes, without the first. */
  readonly length: number
}

/** Takes a row of the server: its bytes are those from `at` up to `stop`. Returns whether it has taken it. */
export type RowHandler = (bytes: Buffer, at: number, stop: number) => boolean

/**
 * Reads the messages of the server: whole ones are handed on, one after the other. It takes nothing on trust: each length,
 * count and end is held against the message that it stands in.
 *
 * Message formats: https://www.postgresql.org/docs/18/protocol-message-formats.html
 */
class MessageReader {
  readonly #onMessage: (message: ServerMessage) => void
  /** What has come and is not read yet: from `#at` up to `#end`. */
  #buffer: Buffer = none
  #at = 0
  #end = 0
  /** Where the message ends that is being read. */
  #stop = 0
  /** Whether the session is still being opened: nothing that is long has to be read then. */
  isOpening = true
  /** Takes the body of a row where it lies, unless it returns false: then it is read as any other message is. */
  readonly #onRow: RowHandler

  constructor(onMessage: (message: ServerMessage) => void, onRow: RowHandler) {
    this.#onMessage = onMessage
    this.#onRow = onRow
  }

  /** @throws ProtocolViolationError and what `onMessage` throws; nothing more can be read then */
  read(chunk: Buffer): void {
    this.#add(chunk)
    while (this.#end - this.#at >= headerBytes) {
      const start = this.#at
      const length = this.#buffer.readUInt32BE(start + 1)
      if (length < 4 || length > (this.isOpening ? mostBytesOfLogin : mostBytes)) {
        throw new ProtocolViolationError(`a message of ${length} bytes`)
      }
      if (start + 1 + length > this.#end) break
      this.#stop = start + 1 + length
      this.#at = start + headerBytes
      if (this.#buffer[start] === dataRow && this.#onRow(this.#buffer, this.#at, this.#stop)) {
        this.#at = this.#stop
        continue
      }
      const message = this.#message(this.#buffer[start] as number, length)
      this.#at = this.#stop
      this.#onMessage(message)
    }
    if (this.#at === this.#end) {
      this.#buffer = none
      this.#at = 0
      this.#end = 0
    }
  }

  /** What is left of the chunk before is moved together with the new one, into room for twice as much. */
  #add(chunk: Buffer): void {
    const left = this.#end - this.#at
    if (left === 0) {
      this.#buffer = chunk
      this.#at = 0
      this.#end = chunk.length
      return
    }
    const needed = left + chunk.length
    if (this.#end + chunk.length > this.#buffer.length) {
      // What was read from the same memory is a copy of its own, but for pieces of a COPY, which others may still hold.
      const larger = Buffer.allocUnsafe(Math.max(needed, left * 2))
      this.#buffer.copy(larger, 0, this.#at, this.#end)
      this.#buffer = larger
      this.#at = 0
      this.#end = left
    }
    chunk.copy(this.#buffer, this.#end)
    this.#end += chunk.length
  }

  #message(code: number, length: number): ServerMessage {
    switch (code) {
      case dataRow:
        return this.#dataRow(length)
      case 0x43:
        return { name: 'commandComplete', length, text: this.#cstring() } as ServerMessage
      case 0x5a:
        return { name: 'readyForQuery', length, status: this.#status() } as ServerMessage
      case 0x32:
        return { name: 'bindComplete', length }
      case 0x31:
        return { name: 'parseComplete', length }
      case 0x33:
        return { name: 'closeComplete', length }
      case 0x6e:
        return { name: 'noData', length }
      case 0x73:
        return { name: 'portalSuspended', length }
      case 0x63:
        return { name: 'copyDone', length }
      case 0x57:
        return { name: 'replicationStart', length }
      case 0x49:
        return { name: 'emptyQuery', length }
      case 0x54:
        return this.#rowDescription(length)
      case 0x64:
        return { name: 'copyData', length, chunk: this.#bytes(this.#stop - this.#at) } as ServerMessage
      case 0x45:
        return this.#report('error', length)
      case 0x4e:
        return this.#report('notice', length)
      case 0x53:
        return {
          name: 'parameterStatus',
          length,
          parameterName: this.#cstring(),
          parameterValue: this.#cstring(),
        } as ServerMessage
      case 0x41:
        return {
          name: 'notification',
          length,
          processId: this.#int32(),
          channel: this.#cstring(),
          payload: this.#cstring(),
        } as ServerMessage
      case 0x4b:
        return { name: 'backendKeyData', length, processID: this.#int32(), secretKey: this.#int32() } as ServerMessage
      case 0x52:
        return this.#authentication(length)
      case 0x74:
        return this.#parameterDescription(length)
      case 0x47:
        return this.#copyResponse('copyInResponse', length)
      case 0x48:
        return this.#copyResponse('copyOutResponse', length)
      default:
        throw new ProtocolViolationError(`a message of the unknown type 0x${code.toString(16)}`)
    }
  }

  #dataRow(length: number): ServerMessage {
    const count = this.#count()
    const fields: (string | null)[] = new Array(count)
    for (let n = 0; n < count; n++) {
      const bytes = this.#int32()
      fields[n] = bytes === -1 ? null : this.#text(bytes)
    }
    this.#ended()
    return { name: 'dataRow', length, fieldCount: count, fields } as ServerMessage
  }

  #rowDescription(length: number): ServerMessage {
    const count = this.#count()
    const fields: object[] = new Array(count)
    for (let n = 0; n < count; n++) {
      fields[n] = {
        name: this.#cstring(),
        tableID: this.#int32() >>> 0,
        columnID: this.#int16(),
        dataTypeID: this.#int32() >>> 0,
        dataTypeSize: this.#int16(),
        dataTypeModifier: this.#int32(),
        format: this.#int16() === 0 ? 'text' : 'binary',
      }
    }
    this.#ended()
    return { name: 'rowDescription', length, fieldCount: count, fields } as ServerMessage
  }

  #parameterDescription(length: number): ServerMessage {
    const count = this.#count()
    const dataTypeIDs: number[] = new Array(count)
    for (let n = 0; n < count; n++) dataTypeIDs[n] = this.#int32() >>> 0
    return { name: 'parameterDescription', length, parameterCount: count, dataTypeIDs } as ServerMessage
  }

  #copyResponse(name: string, length: number): ServerMessage {
    const binary = this.#byte() !== 0
    const count = this.#count()
    const columnTypes: number[] = new Array(count)
    for (let n = 0; n < count; n++) columnTypes[n] = this.#int16()
    return { name, length, binary, columnTypes } as ServerMessage
  }

  #authentication(length: number): ServerMessage {
    const kind = this.#int32()
    switch (kind) {
      case 0:
        return { name: 'authenticationOk', length }
      case 3:
        return { name: 'authenticationCleartextPassword', length }
      case 5:
        return { name: 'authenticationMD5Password', length, salt: this.#bytes(4) } as ServerMessage
      case 10: {
        const mechanisms: string[] = []
        for (let name = this.#cstring(); name !== ''; name = this.#cstring()) mechanisms.push(name)
        return { name: 'authenticationSASL', length, mechanisms } as ServerMessage
      }
      case 11:
        return { name: 'authenticationSASLContinue', length, data: this.#text(this.#stop - this.#at) } as ServerMessage
      case 12:
        return { name: 'authenticationSASLFinal', length, data: this.#text(this.#stop - this.#at) } as ServerMessage
      default:
        throw otherLogin(kind)
    }
  }

  #report(name: 'error' | 'notice', length: number): ServerMessage {
    const said: Record<string, string> = {}
    for (let kind = this.#byte(); kind !== 0; kind = this.#byte()) said[String.fromCharCode(kind)] = this.#cstring()
    const message: object =
      name === 'error' ? new pg.DatabaseError(said['M'] ?? '', length, name) : { name, length, message: said['M'] }
    return Object.assign(message, {
      severity: said['S'],
      code: said['C'],
      detail: said['D'],
      hint: said['H'],
      position: said['P'],
      internalPosition: said['p'],
      internalQuery: said['q'],
      where: said['W'],
      schema: said['s'],
      table: said['t'],
      column: said['c'],
      dataType: said['d'],
      constraint: said['n'],
      file: said['F'],
      line: said['L'],
      routine: said['R'],
    }) as unknown as ServerMessage
  }

  #status(): string {
    const status = String.fromCharCode(this.#byte())
    if (status !== 'I' && status !== 'T' && status !== 'E') throw new ProtocolViolationError('an unknown state')
    return status
  }

  /** Moves on by so many bytes, which the message must have; returns where they begin. */
  #take(bytes: number): number {
    const at = this.#at
    if (bytes < 0 || bytes > this.#stop - at) throw new ProtocolViolationError('a message that is shorter than it says')
    this.#at = at + bytes
    return at
  }

  #ended(): void {
    if (this.#at !== this.#stop) throw new ProtocolViolationError('a message that is longer than it says')
  }

  #count(): number {
    const count = this.#int16()
    if (count < 0) throw new ProtocolViolationError('a negative count')
    return count
  }

  #byte(): number {
    return this.#buffer[this.#take(1)] as number
  }

  #int16(): number {
    return this.#buffer.readInt16BE(this.#take(2))
  }

  #int32(): number {
    return this.#buffer.readInt32BE(this.#take(4))
  }

  #bytes(length: number): Buffer {
    const at = this.#take(length)
    return this.#buffer.subarray(at, at + length)
  }

  #text(length: number): string {
    const at = this.#take(length)
    try {
      return this.#buffer.toString('utf8', at, at + length)
    } catch (error) {
      throw new ProtocolViolationError(`a value of ${length} bytes, which is more than one string can hold`, {
        cause: error,
      })
    }
  }

  #cstring(): string {
    const at = this.#at
    const zero = this.#buffer.indexOf(0, at)
    if (zero === -1 || zero >= this.#stop) throw new ProtocolViolationError('a string without an end')
    this.#at = zero + 1
    return this.#buffer.toString('utf8', at, zero)
  }
}

/** Kinds of login that servers have and `pg` does not. https://www.postgresql.org/docs/18/protocol-message-formats.html */
const otherLogins: Readonly<Record<number, string>> = { 2: 'Kerberos', 6: 'SCM', 7: 'GSSAPI', 8: 'GSSAPI', 9: 'SSPI' }

function otherLogin(kind: number): Error {
  const name = otherLogins[kind]
  if (name === undefined) {
    return new ProtocolViolationError(`a request for a kind of login that is not known here (${kind})`)
  }
  const allowed = 'a line of pg_hba.conf with scram-sha-256, md5, password, cert, peer, ldap or trust for this login'
  return new LoginError(`the server asks for a login by ${name}`, allowed)
}

/**
 * Puts our reader in the place of `pg`'s parser, before the connection is made: its events are the same. Whatever is thrown
 * while a message is read or handled ends the session, and would end the process if it came out of the socket.
 *
 * @param handle gets each message, and hands it to `pg` with `emitTo`
 * @param onRow gets each row before it is made a message
 * @param failed called once; nothing is read any more
 */
export function readMessages(
  protocol: WireConnection,
  handle: (message: ServerMessage, reader: MessageReader) => void,
  onRow: RowHandler,
  failed: (error: Error) => void,
): void {
  protocol.attachListeners = (stream: Duplex) => {
    let isOver = false
    const reader: MessageReader = new MessageReader((message) => handle(message, reader), onRow)
    stream.on('data', (chunk: Buffer) => {
      if (isOver) return
      try {
        reader.read(chunk)
      } catch (error) {
        isOver = true
        failed(error instanceof Error ? error : new Error(String(error), { cause: error }))
      }
    })
  }
}

/** Hands a message to whoever listens for it, under the name that `pg` has for its event. */
export function emitTo(protocol: WireConnection, message: ServerMessage): void {
  const { name } = message
  if (protocol._emitMessage) protocol.emit('message', message)
  protocol.emit(name === 'error' ? 'errorMessage' : name, message)
}

/** What the server may say of its own accord, when nothing was asked. */
export function isUnasked({ name }: ServerMessage): boolean {
  return name === 'notice' || name === 'notification' || name === 'parameterStatus' || name === 'error'
}

/** What belongs to a login, and has no place in a session: the one asks for the password, the other moves the cancels. */
export function isOfLogin({ name }: ServerMessage): boolean {
  return name.startsWith('authentication') || name === 'backendKeyData'
}
