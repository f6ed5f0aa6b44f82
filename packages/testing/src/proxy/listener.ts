import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { FaultProxyError } from './fault-proxy-error.js'

/**
 * Ports are taken from below the range that the kernel takes for outgoing connections (from 32768 on Linux, from 49152
 * elsewhere). From within it, a client that retries while the proxy refuses can be given the proxy's own port as its
 * source port and connect to itself, or any other program can sit on the port when the proxy wants it back.
 */
const lowestPort = 15_000
const highestPort = 32_000
const portAttempts = 50

/** The listening half of the proxy, which can be closed and opened again on the same port. */
export class Listener {
  readonly #onClient: (client: Socket) => void
  #server: Server | undefined
  #port: number

  /** Port 0 is for a free one. */
  constructor(port: number, onClient: (client: Socket) => void) {
    this.#port = port
    this.#onClient = onClient
  }

  /** Listens and resolves with the port; does nothing when it listens already. */
  async open(): Promise<number> {
    if (this.#server !== undefined) return this.#port
    if (this.#port !== 0) return this.#listen(this.#port)
    for (let attempt = 1; ; attempt++) {
      const port = lowestPort + Math.floor(Math.random() * (highestPort - lowestPort))
      try {
        return await this.#listen(port)
      } catch (error) {
        if (attempt === portAttempts) throw error
      }
    }
  }

  /** Closes the port, not the connections that came through it. */
  async close(): Promise<void> {
    this.#server?.close()
    this.#server = undefined
    // libuv gives the descriptor back at the end of this turn of the loop.
    await new Promise((resolve) => setImmediate(resolve))
  }

  async #listen(port: number): Promise<number> {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, this.#onClient)
    server.listen({ host: '127.0.0.1', port, backlog: 511 })
    try {
      await once(server, 'listening')
    } catch (cause) {
      throw new FaultProxyError('FAULT_PROXY_LISTEN_FAILED', `cannot listen on 127.0.0.1:${port}: ${String(cause)}`, {
        cause,
      })
    }
    this.#server = server
    this.#port = port
    return port
  }
}
