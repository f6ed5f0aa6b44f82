import type { Duplex } from 'node:stream'

/**
 * Watches what a server answers to the question for TLS: `pg` says the same of everything but yes and no. Returns whether
 * it was an error of the server, which it sends before it has a process for the connection, and which may pass. Anything
 * else comes from no PostgreSQL.
 * https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-SSL
 */
export function watchTlsAnswer(socket: Duplex): () => boolean {
  let first: number | undefined
  socket.once('data', (bytes: Buffer) => {
    first = bytes[0]
  })
  return () => first === 0x45
}
