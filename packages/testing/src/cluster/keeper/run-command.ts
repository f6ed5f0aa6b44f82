import { spawn } from 'node:child_process'
import type { Account } from './account.js'

export interface RunCommandOptions {
  readonly account: Account | undefined
  readonly cwd: string
  readonly signal: AbortSignal
}

/** A command that could not be run (`spawnCode`) or ended with a code other than 0. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly output: readonly string[]

  constructor(message: string, output: readonly string[], options?: { cause: unknown }) {
    super(message, options)
    this.output = output
  }
}

/** The environment of every PostgreSQL process: the user's, without what would change how it behaves. */
export function postgresEnvironment(): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {}
  for (const [name, value] of Object.entries(process.env)) {
    // PGDATA, PGPORT, PGOPTIONS, ... are meant for other servers.
    if (!name.startsWith('PG')) env[name] = value
  }
  // TZ also saves initdb the search through all time zones.
  return { ...env, LC_ALL: 'C', TZ: 'UTC' }
}

/** Spawn options that make a process the account's. */
export function asAccount(account: Account | undefined): { uid?: number; gid?: number } {
  return account === undefined ? {} : { uid: account.uid, gid: account.gid }
}

/** Runs a command to its end and gives what it printed. On abort it is killed, with whatever it started. */
export function runCommand(file: string, args: readonly string[], options: RunCommandOptions): Promise<string> {
  const { account, cwd, signal } = options
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    // A process group of its own, since initdb starts further processes.
    const child = spawn(file, args, {
      cwd,
      detached: process.platform !== 'win32',
      env: postgresEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe'],
      windowsHide: true,
      ...asAccount(account),
    })
    let output = ''
    const collect = (chunk: Buffer) => {
      output += chunk.toString('utf8')
    }
    child.stdout.on('data', collect)
    child.stderr.on('data', collect)
    const onAbort = () => {
      if (child.pid === undefined) return
      if (process.platform === 'win32') child.kill()
      else process.kill(-child.pid, 'SIGKILL')
    }
    signal.addEventListener('abort', onAbort, { once: true })
    const lines = () => output.trim().split('\n').slice(-40)
    child.once('error', (cause) => {
      signal.removeEventListener('abort', onAbort)
      reject(new CommandError(`${file} could not be run: ${cause.message}`, lines(), { cause }))
    })
    child.once('close', (code, killedBy) => {
      signal.removeEventListener('abort', onAbort)
      if (signal.aborted) reject(signal.reason)
      else if (code === 0) resolve(output)
      else reject(new CommandError(`${file} ended with ${killedBy ?? `code ${code}`}`, lines()))
    })
  })
}
