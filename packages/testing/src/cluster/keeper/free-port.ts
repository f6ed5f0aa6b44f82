import { createServer } from 'node:net'

/**
 * Below the ranges that Linux (32768+), macOS and Windows (49152+) take outgoing ports from: the port of a server
 * that is down for a moment is not handed to somebody else, and a client that dials it cannot connect to itself.
 */
const firstPort = 15_000
const lastPort = 32_000

/** Whether nobody listens on the port of 127.0.0.1. */
export function isPortFree(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(false)
      else reject(error)
    })
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => resolve(true)))
  })
}

/** A port that was free a moment ago; the server that then finds it taken asks for another one. */
export async function findFreePort(): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = firstPort + Math.floor(Math.random() * (lastPort - firstPort))
    if (await isPortFree(port)) return port
  }
  throw new Error(`no free port found between ${firstPort} and ${lastPort}`)
}
