/**
 * The keeper: a process of its own that owns the servers and the folder of one cluster. It lives exactly as long as
 * the channel to the process that started the cluster: when that one ends, in whatever way, SIGKILL included, the
 * channel closes and the keeper cleans up. It sits in a process group of its own, so Ctrl-C does not reach it.
 */
import type { KeeperMessage, KeeperRequest } from '../keeper-protocol.js'
import { toWireError } from '../wire-error.js'
import { KeptCluster } from './kept-cluster.js'

function send(message: KeeperMessage): void {
  if (!process.connected) return
  process.send?.(message, undefined, undefined, () => {
    // Nobody is left to receive it; 'disconnect' is already on its way and does what has to be done.
  })
}

const cluster = new KeptCluster({
  onFolder: (folder) => send({ kind: 'folder', folder }),
  onExit: (server, pid) => send({ kind: 'exit', server, pid }),
})

let ending = false

async function end(reason?: unknown): Promise<void> {
  if (ending) return
  ending = true
  let failure = reason
  try {
    await cluster.destroy()
  } catch (error) {
    failure ??= error
  }
  if (failure === undefined) process.exit(0)
  const text = failure instanceof Error ? (failure.stack ?? failure.message) : String(failure)
  process.stderr.write(`${text}\n`, () => process.exit(1))
}

async function answer(request: KeeperRequest): Promise<unknown> {
  switch (request.op) {
    case 'create':
      return { servers: await cluster.create(request.spec) }
    case 'start':
      return { pid: await cluster.start(request.server, request.timeoutMs) }
    case 'stop':
      await cluster.stop(request.server, request.mode, request.timeoutMs)
      return {}
    case 'kill':
      await cluster.kill(request.server)
      return {}
    case 'log':
      return { lines: cluster.log(request.server) }
  }
}

process.on('message', async (request: KeeperRequest) => {
  try {
    send({ kind: 'done', id: request.id, value: await answer(request) })
  } catch (error) {
    send({ kind: 'failed', id: request.id, error: toWireError(error) })
  }
})

process.on('disconnect', () => end())
process.on('uncaughtException', end)
process.on('unhandledRejection', end)
// Whoever signals a whole family of processes means the parent; the channel reports when it is gone.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)
// The reader of standard error may be gone, and then nothing can be reported.
process.stderr.on('error', () => undefined)
