import type { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'

/** What is known of a connection that was to be encrypted, and is not. */
export interface TlsAnswer {
  /**
   * The server has sent an error in place of an answer to the question for TLS, which it does before it has a process for
   * the connection: it may pass. `pg` says the same of what comes from no PostgreSQL.
   * https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-SSL
   */
  readonly isServerError: boolean
  /** TLS could begin, and did not: the options for it are of no use. Such an error has not always a code. */
  readonly isUnusable: boolean
}

/** Watches a connection that is about to be made. */
export function watchTlsAnswer(protocol: EventEmitter & { readonly stream: Duplex }, isDirect: boolean): TlsAnswer {
  const { stream: socket } = protocol
  let first: number | undefined
  let mayBegin = false
  let hasBegun = false
  if (isDirect) socket.once('connect', () => (mayBegin = true))
  else {
    socket.once('data', (bytes: Buffer) => {
      first = bytes[0]
      mayBegin = first === 0x53 && bytes.length === 1
    })
  }
  // `pg` makes the TLS socket in the same turn, and tells when it has.
  protocol.once('sslconnect', () => (hasBegun = true))
  return {
    get isServerError() {
      return first === 0x45
    },
    get isUnusable() {
      return mayBegin && !hasBegun
    },
  }
}
