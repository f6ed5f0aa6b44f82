import { type ChildProcess, fork } from 'node:child_process'
import type { Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { ClusterStartError, ServerOperationError } from './errors.js'
import type { KeeperMessage, KeeperOperation, KeeperOperations } from './keeper-protocol.js'
import { cleanUpAfterKeeper } from './lost-keeper.js'
import { fromWireError } from './wire-error.js'

interface Waiting {
  readonly op: KeeperOperation
  resolve(value: never): void
  reject(error: Error): void
}

/** What the keeper needs from the environment is everything but Node's own switches (--inspect, loaders, coverage). */
function keeperEnvironment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _options, NODE_V8_COVERAGE: _coverage, NODE_CHANNEL_FD: _channel, ...env } = process.env
  return env
}

export interface KeeperClientOptions {
  readonly onServerExit: (server: string, pid: number) => void
  /** The keeper and everything it kept are gone. */
  readonly onGone: () => void
}

/** The keeper process, seen from the process that started it. It does not keep that process alive while idle. */
export class KeeperClient {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, Waiting>()
  readonly #options: KeeperClientOptions
  #nextId = 1
  #folder: string | undefined
  #stderr = ''
  #destroying = false
  /** How the keeper ended, when nobody had asked it to. */
  #lost: string | undefined
  /** Settles when nothing is left; rejects when something had to stay. */
  readonly #gone: Promise<void>

  constructor(options: KeeperClientOptions) {
    this.#options = options
    this.#child = fork(fileURLToPath(new URL('./keeper/keeper.js', import.meta.url)), [], {
      detached: true,
      env: keeperEnvironment(),
      execArgv: [],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr += chunk.toString('utf8')
    })
    this.#child.on('message', (message) => this.#onMessage(message as KeeperMessage))
    // 'close' would be one event for both, but never comes once this side has closed the channel (Node 24.21).
    const stderrRead = new Promise<void>((resolve) => this.#child.stderr?.once('close', resolve) ?? resolve())
    this.#gone = new Promise<number | string | Error>((resolve) => {
      this.#child.once('error', resolve)
      this.#child.once('exit', (code, signal) => stderrRead.then(() => resolve(code ?? signal ?? 'unknown')))
    }).then((outcome) => this.#afterExit(outcome))
    // Whoever calls destroy() gets the outcome; until then it must not count as unhandled.
    this.#gone.catch(() => undefined)
    this.#hold()
  }

  /** The cluster's folder, once there is one. */
  get folder(): string | undefined {
    return this.#folder
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  async request<Op extends KeeperOperation>(
    op: Op,
    request: KeeperOperations[Op]['request'],
  ): Promise<KeeperOperations[Op]['response']> {
    if (this.#destroying) throw new ServerOperationError(`${op}: the cluster is stopped`)
    if (!this.#child.connected) {
      await this.#gone
      throw this.#lostError(op)
    }
    const id = this.#nextId++
    return await new Promise<KeeperOperations[Op]['response']>((resolve, reject) => {
      this.#waiting.set(id, { op, resolve, reject })
      this.#hold()
      this.#child.send({ ...request, id, op }, () => {
        // An error here is a closed channel; the keeper's exit says why, and rejects everything that waits.
      })
    })
  }

  /** Has everything stopped and removed, and resolves when that is so. */
  destroy(): Promise<void> {
    if (!this.#destroying) {
      this.#destroying = true
      this.#hold()
      if (this.#child.connected) this.#child.disconnect()
    }
    return this.#gone
  }

  /** Keeps this process alive while it waits for something, and only then. */
  #hold(): void {
    const stderr = this.#child.stderr as Socket | null
    for (const handle of [this.#child, this.#child.channel, stderr]) {
      if (this.#destroying || this.#waiting.size > 0) handle?.ref()
      else handle?.unref()
    }
  }

  #onMessage(message: KeeperMessage): void {
    if (message.kind === 'folder') {
      this.#folder = message.folder
      return
    }
    if (message.kind === 'exit') {
      this.#options.onServerExit(message.server, message.pid)
      return
    }
    const waiting = this.#waiting.get(message.id)
    this.#waiting.delete(message.id)
    this.#hold()
    if (message.kind === 'done') waiting?.resolve(message.value as never)
    else waiting?.reject(fromWireError(message.error))
  }

  async #afterExit(outcome: number | string | Error): Promise<void> {
    const text = this.#stderr.trim()
    const ended = outcome instanceof Error ? `could not be run: ${outcome.message}` : `ended with ${outcome}`
    if (!this.#destroying) this.#lost = `the cluster's keeper process ${ended}${text === '' ? '' : `: ${text}`}`
    try {
      await this.#cleanUp(outcome, ended)
    } finally {
      this.#options.onGone()
      for (const { op, reject } of this.#waiting.values()) reject(this.#lostError(op))
      this.#waiting.clear()
      this.#hold()
    }
  }

  async #cleanUp(outcome: number | string | Error, ended: string): Promise<void> {
    // 0: the keeper has done it itself.
    if (outcome === 0 || this.#folder === undefined) return
    try {
      await cleanUpAfterKeeper(this.#folder)
    } catch (cause) {
      const message = `the keeper process ${ended}, and ${this.#folder} is not cleaned up: ${this.#stderr.trim()}`
      throw new ServerOperationError(message, { cause })
    }
  }

  #lostError(op: KeeperOperation): Error {
    if (this.#lost === undefined) return new ServerOperationError(`${op}: the cluster was stopped meanwhile`)
    return op === 'create' ? new ClusterStartError(this.#lost) : new ServerOperationError(`${op}: ${this.#lost}`)
  }
}
