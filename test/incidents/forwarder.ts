import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/**
 * An address that leads to one server and later to another, as the name of a cloud provider does: what is open stays
 * with the server that it was opened to, what comes goes to the new one.
 */
export class Forwarder implements AsyncDisposable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #target: number
  /** When each connection was accepted, on the clock of `performance.now()`. */
  readonly acceptedAt: number[] = []

  private constructor(target: number) {
    this.#target = target
    this.#server = createServer((client) => {
      this.acceptedAt.push(performance.now())
      const upstream = connect(this.#target, '127.0.0.1')
      for (const [one, other] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        this.#sockets.add(one)
        one.pipe(other)
        // An error comes before `close`, which ends the other side.
        one.on('error', () => undefined)
        one.on('close', () => {
          this.#sockets.delete(one)
          other.destroy()
        })
      }
    })
  }

  /** @param target the port that it leads to at first, on this machine */
  static async start(target: number): Promise<Forwarder> {
    const forwarder = new Forwarder(target)
    forwarder.#server.listen(0, '127.0.0.1')
    await once(forwarder.#server, 'listening')
    return forwarder
  }

  /** The same database and user by this address. */
  urlFor(url: string): string {
    const changed = new URL(url)
    changed.host = `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
    return changed.href
  }

  /** From now on new connections lead there. */
  moveTo(target: number): void {
    this.#target = target
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }
}
