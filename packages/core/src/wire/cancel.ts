import { isIP, type Socket } from 'node:net'
import type { Clock } from '../base/clock.js'
import { inNoContext } from '../base/no-context.js'
import { type ClientInternals, ConnectionBase } from './pg-internals.js'

/**
 * Asks the server to stop what the client's backend runs now, over a connection of its own with the same TLS settings.
 * Resolves true when the server has taken the request and closed that connection: the signal has then been sent, and
 * cannot hit a later statement. Resolves false when that was not seen in time. Never rejects: a cancel that cannot be
 * delivered leaves the statement running, which the caller of this bounds by itself.
 *
 * https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
 */
export function cancelBackend(client: ClientInternals, clock: Clock, timeoutMs: number): Promise<boolean> {
  return inNoContext(() => cancel(client, clock, timeoutMs))
}

function cancel(client: ClientInternals, clock: Clock, timeoutMs: number): Promise<boolean> {
  const { processID, secretKey, host, port, sslNegotiation } = client
  const address = addressOf(client) ?? host
  // The name stays the one that a certificate is held against.
  const ssl = address === host ? client.ssl : servedAs(host, client.ssl)
  if (processID === null || secretKey === null) return Promise.resolve(false)
  return new Promise((resolve) => {
    const connection = new ConnectionBase({ ssl, sslNegotiation, keepAlive: false })
    // A server has nothing to say to it.
    connection.attachListeners = (stream) => stream.resume()
    let asked = false
    const finish = (): void => {
      clock.clearTimer(timer)
      connection.stream.destroy()
      resolve(asked)
    }
    const timer = clock.setTimer(timeoutMs, () => {
      asked = false
      finish()
    })
    const ask = (): void => {
      connection.cancel(processID, secretKey)
      asked = true
    }
    connection.on('error', () => {
      // Some servers reset the connection in place of closing it: the request was taken all the same.
    })
    connection.once('connect', () => {
      if (!ssl) ask()
      else if (sslNegotiation !== 'direct') connection.requestSsl()
    })
    connection.once('sslconnect', ask)
    connection.once('end', finish)
    if (host.startsWith('/')) connection.connect(`${host}/.s.PGSQL.${port}`)
    else connection.connect(port, address)
  })
}

/**
 * The address that a session is connected to. By now its name may lead to another server, where a backend of the same
 * number is somebody else's. Asked once while the socket is open, it is known after that too; undefined where the name
 * has to do.
 */
export function addressOf({ connection }: Pick<ClientInternals, 'connection'>): string | undefined {
  const { remoteAddress } = connection.stream as Partial<Socket>
  // A link-local address is none without its interface, which is not reported.
  return remoteAddress?.toLowerCase().startsWith('fe80:') === true ? undefined : remoteAddress
}

function servedAs(host: string, ssl: ClientInternals['ssl']): ClientInternals['ssl'] {
  if (ssl === false || isIP(host) !== 0) return ssl
  return { servername: host, ...(typeof ssl === 'object' ? ssl : {}) }
}
