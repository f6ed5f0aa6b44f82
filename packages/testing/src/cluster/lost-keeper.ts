import { readdirSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { isAlive, killTree, sendSignal } from './keeper/process-tree.js'
import { waitUntil } from './wait-until.js'

/** Stops the servers of a cluster whose keeper was killed, and removes the folder: the second line of defence. */
export async function cleanUpAfterKeeper(folder: string): Promise<void> {
  const pids = serverPids(folder)
  if (process.platform !== 'win32') {
    // An immediate shutdown, which unlike SIGKILL leaves no shared memory.
    for (const pid of pids) for (const signal of ['SIGQUIT', 'SIGCONT'] as const) sendSignal(pid, signal)
    await waitUntil(async () => (pids.some(isAlive) ? undefined : true), { timeoutMs: 3_000 })
  }
  for (const pid of pids.filter(isAlive)) await killTree(pid, 5_000)
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
}

/** A running server has its pid in the first line of postmaster.pid in its data folder. */
function serverPids(folder: string): number[] {
  const pids: number[] = []
  for (const name of listIfThere(folder)) {
    try {
      pids.push(Number.parseInt(readFileSync(path.join(folder, name, 'postmaster.pid'), 'utf8'), 10))
    } catch {
      // Not a data folder, or its server does not run: nothing to stop.
    }
  }
  return pids.filter((pid) => pid > 0 && isPostgres(pid))
}

/** A stale file can name a process that has nothing to do with it. */
function isPostgres(pid: number): boolean {
  if (process.platform !== 'linux') return true
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('postgres')
  } catch {
    // It ended.
    return false
  }
}

function listIfThere(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
