import type { Duplex } from 'node:stream'
import { MessageReader, type ServerMessage } from './message-reader.js'
import type { WireConnection } from './pg-internals.js'

/**
 * Puts our reader in the place of `pg`'s parser, before the connection is made: its events are the same. Whatever is thrown
 * while a message is read or handled ends the session, and would end the process if it came out of the socket.
 *
 * @param handle gets each message, and hands it to `pg` with `emitTo`
 * @param failed called once; nothing is read any more
 */
export function readMessages(
  protocol: WireConnection,
  handle: (message: ServerMessage, reader: MessageReader) => void,
  failed: (error: Error) => void,
): void {
  protocol.attachListeners = (stream: Duplex) => {
    let isOver = false
    const reader: MessageReader = new MessageReader((message) => handle(message, reader))
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
