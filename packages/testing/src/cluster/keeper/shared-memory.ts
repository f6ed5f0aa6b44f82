import { rmSync } from 'node:fs'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Account } from './account.js'
import { executable } from './binaries.js'
import { CommandError, runCommand } from './run-command.js'

/** How long to try, and how often. */
const boundMs = 5_000
const againMs = 50

/**
 * For a data folder whose processes have all been killed.
 *
 * A server that was killed leaves a System V shared memory segment (the operating system keeps those until somebody
 * removes them). The next start over the same data folder does; `postgres --check` goes exactly that far and ends.
 */
export async function clearSharedMemory(
  binaries: string,
  dataFolder: string,
  account: Account | undefined,
): Promise<void> {
  const signal = AbortSignal.timeout(boundMs)
  for (;;) {
    // It names a process that is dead, but that PostgreSQL takes for alive until its parent has collected it. The
    // segment is found without it, by the inode of the folder.
    rmSync(path.join(dataFolder, 'postmaster.pid'), { force: true })
    try {
      await runCommand(executable(binaries, 'postgres'), ['--check', '-D', dataFolder], {
        account,
        signal,
        cwd: dataFolder,
      })
      return
    } catch (error) {
      if (!(error instanceof CommandError) || signal.aborted) throw error
      // A process that was killed may take a moment to end: until then the segment counts as in use.
      await setTimeout(againMs)
    }
  }
}
