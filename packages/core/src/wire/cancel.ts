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
  const { processID, secretKey, ssl, sslNegotiation } = client
  const { host, port } = client
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
    else connection.connect(port, host)
  })
}
