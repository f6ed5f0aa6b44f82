import { type ChildProcess, fork } from 'node:child_process'
import { FaultProxyError } from './fault-proxy-error.js'
import type { Commands, ProxyMessage } from './protocol.js'

interface Call {
  readonly resolve: (output: unknown) => void
  readonly reject: (error: Error) => void
}

/** What the proxy's process says without being asked. */
export type ProxyNews = Extract<ProxyMessage, { kind: 'fired' | 'blind' }>

/** How long the process gets to leave by itself. */
const exitGraceMs = 2_000

/**
 * The parent's end of the proxy's process. It keeps the parent's event loop alive only while a command is under way.
 */
export class ProxyProcess {
  readonly #child: ChildProcess
  readonly #calls = new Map<number, Call>()
  readonly #exited = Promise.withResolvers<void>()
  readonly #onNews: (news: ProxyNews) => void
  readonly #onGone: (error: FaultProxyError) => void
  #gone: FaultProxyError | undefined
  #stopping = false
  #lastCallId = 0

  constructor(onNews: (news: ProxyNews) => void, onGone: (error: FaultProxyError) => void) {
    this.#onNews = onNews
    this.#onGone = onGone
    this.#child = fork(new URL('./proxy-main.js', import.meta.url), [], {
      // Flags of the parent (a debugger's port, a profiler, a loader) are not meant for this process.
      execArgv: [],
      env: { ...process.env, NODE_OPTIONS: '' },
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    this.#child.on('message', (message: ProxyMessage) => this.#received(message))
    this.#child.on('error', (cause) => this.#ended(`could not be run: ${cause.message}`, cause))
    this.#child.on('exit', (code, signal) => this.#ended(`ended with ${signal ?? `exit code ${code}`}`, undefined))
    this.#settleReferences()
  }

  /** Sends a command; resolves with its answer when it is in force. */
  call<K extends keyof Commands>(command: K, input: Commands[K]['input']): Promise<Commands[K]['output']>
  call(command: keyof Commands, input: unknown): Promise<unknown> {
    if (this.#gone !== undefined) return Promise.reject(this.#gone)
    if (this.#stopping) return Promise.reject(stoppedError())
    const message = { callId: ++this.#lastCallId, command, input }
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.#calls.set(message.callId, { resolve, reject })
    this.#settleReferences()
    this.#child.send(message, (cause) => {
      if (cause !== null) this.#settle(message.callId)?.reject(this.#gone ?? exitedError('cannot be reached', cause))
    })
    return promise
  }

  /** Ends the process; resolves when it is gone. May be called again. */
  async stop(): Promise<void> {
    if (!this.#stopping && this.#gone === undefined) {
      this.#stopping = true
      if (this.#child.connected) this.#child.disconnect()
    }
    this.#settleReferences()
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), exitGraceMs)
    await this.#exited.promise
    clearTimeout(timer)
  }

  #received(message: ProxyMessage): void {
    if (message.kind === 'done') this.#settle(message.callId)?.resolve(message.output)
    else if (message.kind === 'failed') {
      this.#settle(message.callId)?.reject(new FaultProxyError(message.code, message.message))
    } else this.#onNews(message)
  }

  #settle(callId: number): Call | undefined {
    const call = this.#calls.get(callId)
    this.#calls.delete(callId)
    this.#settleReferences()
    return call
  }

  #ended(how: string, cause: Error | undefined): void {
    if (this.#gone !== undefined) return
    this.#gone = this.#stopping ? stoppedError() : exitedError(how, cause)
    for (const call of this.#calls.values()) call.reject(this.#gone)
    this.#calls.clear()
    this.#onGone(this.#gone)
    this.#exited.resolve()
  }

  #settleReferences(): void {
    const wanted = this.#stopping || this.#calls.size > 0 ? 'ref' : 'unref'
    this.#child[wanted]()
    this.#child.channel?.[wanted]()
  }
}

function stoppedError(): FaultProxyError {
  return new FaultProxyError('FAULT_PROXY_STOPPED', 'the fault proxy was stopped')
}

function exitedError(how: string, cause: Error | undefined): FaultProxyError {
  const message = `the process of the fault proxy ${how}; what it wrote to stderr says why`
  return new FaultProxyError('FAULT_PROXY_EXITED', message, { cause })
}
