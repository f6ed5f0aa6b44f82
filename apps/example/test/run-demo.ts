import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('../dist/main.js', import.meta.url))

/** What is left of a demo that has ended. */
export interface DemoOutcome {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** A demo that runs, in a process group of its own, as a shell would start it. */
export interface RunningDemo {
  readonly child: ChildProcess
  readonly outcome: Promise<DemoOutcome>
}

/** Starts the built program with nothing of this process's database settings. */
export function startDemo(args: readonly string[], env: Readonly<Record<string, string>> = {}): RunningDemo {
  const inherited = Object.entries(process.env).filter(([name]) => name !== 'DATABASE_URL' && !name.startsWith('PG'))
  const child = spawn(process.execPath, [main, ...args], {
    detached: true,
    env: { ...Object.fromEntries(inherited), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  return { child, outcome: outcomeOf(child) }
}

/** Runs the built program to its end. */
export async function runDemo(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<DemoOutcome> {
  return await startDemo(args, env).outcome
}

async function outcomeOf(child: ChildProcess): Promise<DemoOutcome> {
  let stdout = ''
  let stderr = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  await once(child, 'close')
  return { code: child.exitCode, signal: child.signalCode, stdout, stderr }
}
