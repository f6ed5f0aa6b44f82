import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'

const exec = promisify(execFile)

/** The state letter and parent of a process on Linux; the name in the middle may hold spaces and brackets. */
function readStat(pid: number): { state: string; parent: number } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return { state: state ?? '', parent: Number(parent) }
  } catch {
    // The process ended between the listing and the reading: it has no parent any more.
    return undefined
  }
}

/** The direct children of a process. */
export async function childrenOf(pid: number): Promise<number[]> {
  if (process.platform === 'linux') {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((candidate) => readStat(candidate)?.parent === pid)
  }
  const { stdout } = await exec('ps', ['-A', '-o', 'pid=,ppid='])
  return stdout
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([child, parent]) => (child !== undefined && parent === pid ? [child] : []))
}

/** Whether the process still runs. One that ended and was not collected by its parent yet does not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    // EPERM: it is there, and belongs to somebody else.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
  return process.platform !== 'linux' || readStat(pid)?.state !== 'Z'
}

/** Sends a signal; a process that has ended already is fine. */
export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/**
 * What a crash of the machine looks like to the clients: the server process and all its sessions are gone at once,
 * without a word. Resolves when the last of them has ended, so that a restart finds no survivors.
 */
export async function killTree(pid: number, timeoutMs: number): Promise<void> {
  if (process.platform === 'win32') {
    await exec('taskkill', ['/F', '/T', '/PID', String(pid)])
    return
  }
  // Stopped first, so that it starts no further session while its children are being listed.
  sendSignal(pid, 'SIGSTOP')
  const all = [pid, ...(await childrenOf(pid))]
  for (const each of all) sendSignal(each, 'SIGKILL')
  const deadline = performance.now() + timeoutMs
  while (all.some(isAlive)) {
    if (performance.now() > deadline) throw new Error(`processes ${all.filter(isAlive).join(', ')} survive SIGKILL`)
    await delay(2)
  }
}
