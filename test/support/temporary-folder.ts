import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statfsSync } from 'node:fs'

const inMemory = '/dev/shm'
/** What the servers of a run need at most, several times over; and as much memory again for all else. */
const roomyBytes = 4 * 1024 ** 3

/**
 * A folder in memory for the temporary files of a run, gone when this process ends: the files of PostgreSQL's servers,
 * most of all, which take most of the processor time that they cost on a disk. `undefined` where memory is short, where
 * programs in it could not be run, and where somebody has said which folder it is to be.
 */
export function temporaryFolderInMemory(): string | undefined {
  if ((process.env['TMPDIR'] ?? '') !== '' || !existsSync('/proc/mounts')) return undefined
  const isRoomy = process.availableMemory() >= 2 * roomyBytes
  if (!isRoomy || !runsPrograms(readFileSync('/proc/mounts', 'utf8')) || freeBytes() < roomyBytes) return undefined
  const folder = mkdtempSync(`${inMemory}/lifeguard-tests-`)
  // The servers run under another account when this one is root.
  chmodSync(folder, 0o1777)
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Whether the last file system that is mounted there lives in memory, and may hold programs. */
export function runsPrograms(mounts: string): boolean {
  const lines = mounts.split('\n').map((line) => line.split(' '))
  const [, , type, options = ''] = lines.findLast(([, where]) => where === inMemory) ?? []
  return type === 'tmpfs' && !options.split(',').some((option) => option === 'noexec' || option === 'ro')
}

function freeBytes(): number {
  const { bavail, bsize } = statfsSync(inMemory)
  return bavail * bsize
}
