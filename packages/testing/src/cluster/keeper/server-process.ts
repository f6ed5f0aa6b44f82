import { execFile, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { ClusterStartError, PortInUseError, ServerOperationError } from '../errors.js'
import type { StopMode } from '../keeper-protocol.js'
import type { Account } from './account.js'
import { executable } from './binaries.js'
import { LogRing } from './log-ring.js'
import { killTree, sendSignal } from './process-tree.js'
import { asAccount, postgresEnvironment } from './run-command.js'
import { clearSharedMemory } from './shared-memory.js'

const exec = promisify(execFile)

/** https://www.postgresql.org/docs/current/server-shutdown.html */
const stopSignals = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' } as const

export interface ServerProcessOptions {
  readonly name: string
  readonly port: number
  readonly dataFolder: string
  /** The folder of the binaries. */
  readonly binaries: string
  readonly account: Account | undefined
  readonly onExit: (pid: number) => void
}

interface Running {
  readonly pid: number
  /** The process is gone. */
  readonly exited: Promise<void>
  /** ... and everything it wrote has been read. */
  readonly closed: Promise<void>
}

/** One postgres process over one data folder; it can be started again after every kind of end. */
export class ServerProcess {
  readonly name: string
  readonly #options: ServerProcessOptions
  readonly #log = new LogRing()
  #running: Running | undefined
  /** It was killed and has not run since: its shared memory is still there. */
  #uncleared = false

  constructor(options: ServerProcessOptions) {
    this.name = options.name
    this.#options = options
  }

  get pid(): number | undefined {
    return this.#running?.pid
  }

  get log(): readonly string[] {
    return this.#log.lines()
  }

  /** Resolves with the pid once the server accepts connections. */
  async start(signal: AbortSignal, timeoutMs: number): Promise<number> {
    signal.throwIfAborted()
    const { dataFolder, account, port, binaries } = this.#options
    if (this.#running !== undefined) throw new ServerOperationError(`${this.name} is running already`)
    const child = spawn(executable(binaries, 'postgres'), ['-D', dataFolder, '-c', `port=${port}`], {
      cwd: dataFolder,
      env: postgresEnvironment(),
      stdio: ['ignore', 'ignore', 'pipe'],
      windowsHide: true,
      ...asAccount(account),
    })
    const spawnError = new Promise<Error | undefined>((resolve) => {
      child.once('error', resolve)
      child.once('spawn', () => resolve(undefined))
    })
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    const closed = new Promise<void>((resolve) => child.once('close', () => resolve()))
    child.stderr.on('data', (chunk: Buffer) => this.#log.write(chunk.toString('utf8')))
    const cause = await spawnError
    if (child.pid === undefined || cause !== undefined) {
      throw new ClusterStartError(`${this.name}: postgres could not be run: ${cause?.message}`, { cause })
    }
    const running = { pid: child.pid, exited, closed }
    this.#running = running
    this.#uncleared = false
    void exited.then(() => {
      this.#running = undefined
      this.#options.onExit(running.pid)
    })
    await this.#untilReady(running, signal, timeoutMs)
    return running.pid
  }

  /** The server writes its state into line 8 of postmaster.pid; pg_ctl waits the same way. */
  async #untilReady(running: Running, signal: AbortSignal, timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs
    const file = path.join(this.#options.dataFolder, 'postmaster.pid')
    while (this.#running === running) {
      const lines = readIfThere(file).split('\n')
      if (Number(lines[0]) === running.pid && lines[7]?.trim() === 'ready') return
      signal.throwIfAborted()
      if (performance.now() > deadline) {
        await this.#killRunning()
        throw new ClusterStartError(`${this.name} accepted no connections within ${timeoutMs} ms; it was killed`, {
          log: this.#log.tail(),
        })
      }
      await delay(5)
    }
    signal.throwIfAborted()
    await running.closed
    const log = this.#log.tail()
    const cause = new ClusterStartError(`${this.name} ended while it was starting`, { log })
    throw log.some((line) => line.includes('could not bind'))
      ? new PortInUseError(this.#options.port, { cause })
      : cause
  }

  async stop(mode: StopMode, timeoutMs: number): Promise<void> {
    const running = this.#running
    if (running === undefined) return
    await this.#signal(running.pid, stopSignals[mode])
    if (await endsWithin(running.exited, timeoutMs)) return
    throw new ServerOperationError(
      `${this.name} was asked for a ${mode} shutdown and has not ended within ${timeoutMs} ms; a stricter mode can still be asked for`,
      { log: this.#log.tail() },
    )
  }

  async kill(): Promise<void> {
    if (this.#running === undefined) throw new ServerOperationError(`${this.name} is not running`)
    await this.#killRunning()
  }

  /** Leaves no process and no shared memory; what is in the data folder does not matter any more. */
  async destroy(): Promise<void> {
    const running = this.#running
    if (running !== undefined) {
      await this.#signal(running.pid, 'SIGQUIT')
      // It may have been stopped by a test (SIGSTOP), and would not receive the other one.
      if (process.platform !== 'win32') sendSignal(running.pid, 'SIGCONT')
      if (!(await endsWithin(running.exited, 3_000))) await this.#killRunning()
    }
    if (!this.#uncleared) return
    const { binaries, dataFolder, account } = this.#options
    await clearSharedMemory(binaries, dataFolder, account)
    this.#uncleared = false
  }

  async #killRunning(): Promise<void> {
    const running = this.#running
    if (running === undefined) return
    this.#uncleared = true
    await killTree(running.pid, 10_000)
    await running.exited
  }

  async #signal(pid: number, signal: NodeJS.Signals): Promise<void> {
    if (process.platform !== 'win32') return sendSignal(pid, signal)
    // Windows has no signals; PostgreSQL listens on a pipe of its own there.
    await exec(executable(this.#options.binaries, 'pg_ctl'), ['kill', signal.replace('SIG', ''), String(pid)])
  }
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    // Not written yet.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}

async function endsWithin(ended: Promise<void>, timeoutMs: number): Promise<boolean> {
  const timer = new AbortController()
  try {
    return await Promise.race([ended.then(() => true), delay(timeoutMs, false, { signal: timer.signal })])
  } finally {
    timer.abort()
  }
}
