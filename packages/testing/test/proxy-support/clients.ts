import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import pg from 'pg'

/** A pg client whose connection-level errors are kept instead of thrown. */
export interface TestClient extends AsyncDisposable {
  readonly client: pg.Client
  readonly errors: Error[]
  /** Resolves when the connection is over. */
  readonly ended: Promise<void>
}

export async function connectClient(connectionString: string, config: pg.ClientConfig = {}): Promise<TestClient> {
  const client = new pg.Client({ connectionString, ...config })
  const errors: Error[] = []
  client.on('error', (error) => errors.push(error))
  const ended = new Promise<void>((resolve) => {
    client.once('end', resolve)
  })
  await client.connect()
  // end() waits for the server's end of a connection that may be cut or stalled; nothing depends on it here.
  const dispose = async (): Promise<void> => {
    void client.end()
  }
  return { client, errors, ended, [Symbol.asyncDispose]: dispose }
}

/** A TCP server that is no PostgreSQL. */
export async function fakeServer(onClient: (socket: Socket) => void): Promise<AsyncDisposable & { port: number }> {
  const sockets = new Set<Socket>()
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => sockets.delete(socket))
    onClient(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('bug: a TCP server has an address')
  return {
    port: address.port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

/** A plain connection; resolves when it is established, rejects with the socket's error. */
export async function connectSocket(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
  await once(socket, 'connect')
  return socket
}

/** The error that a connection ends with, while it is established or after. */
export async function connectionError(port: number): Promise<unknown> {
  const [error] = await once(connect({ host: '127.0.0.1', port }), 'error')
  return error
}

/** The next bytes of a socket. */
export async function nextChunk(socket: Socket): Promise<string> {
  const [chunk] = await once(socket, 'data')
  return String(chunk)
}

export function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => {
      throw new Error('expected a rejection')
    },
    (error: unknown) => error,
  )
}

export const sslRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])
