import { FaultProxyError } from './fault-proxy-error.js'
import { PreciseTimer } from './precise-timer.js'
import type { AnyCommandMessage, CommandMessage, Commands, ProxyMessage } from './protocol.js'
import { ProxyServer } from './proxy-server.js'

// Entry of the proxy's own process, started by fork() from proxy-process.ts.

let server: ProxyServer | undefined

// The channel closes when the parent stops the proxy and when the parent dies, however it dies.
process.on('disconnect', () => process.exit(0))

// Ctrl-C reaches every process of the terminal; the parent decides when this one ends.
process.on('SIGINT', () => undefined)

process.on('message', (message: AnyCommandMessage) => {
  void answer(message)
})

async function answer(message: AnyCommandMessage): Promise<void> {
  try {
    const output = message.command === 'start' ? await start(message.input) : await run(message)
    report({ kind: 'done', callId: message.callId, output })
  } catch (error) {
    if (!FaultProxyError.isInstance(error)) throw error
    report({ kind: 'failed', callId: message.callId, code: error.code, message: error.message })
  }
}

async function start(input: Commands['start']['input']): Promise<number> {
  server = new ProxyServer(input, await PreciseTimer.start(), report)
  return server.open()
}

function run<K extends Exclude<keyof Commands, 'start'>>(message: CommandMessage<K>): unknown {
  if (server === undefined) throw new Error(`bug: command ${message.command} before start`)
  return server.handlers[message.command](message.input)
}

function report(message: ProxyMessage): void {
  // Without a callback a send that meets a parent that has just died would be an uncaught error; 'disconnect' follows.
  process.send?.(message, undefined, undefined, () => undefined)
}
