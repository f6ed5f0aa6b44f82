import {
  appendFileSync,
  chownSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { ClusterStartError } from '../errors.js'
import { type Account, closedFolderError } from './account.js'
import { executable } from './binaries.js'
import { CommandError, runCommand } from './run-command.js'
import { clearSharedMemory } from './shared-memory.js'
import type { UsableBinaries } from './usable-binaries.js'

export interface InitDataFolderOptions {
  readonly binaries: UsableBinaries
  readonly account: Account | undefined
  /** The cluster's folder. */
  readonly folder: string
  readonly password: string
  readonly signal: AbortSignal
}

/**
 * Makes the first data folder with initdb: superuser `postgres`, password over scram-sha-256, UTF-8, and sorting by
 * code point, which is the same on every platform.
 *
 * @throws ClusterStartError with what initdb printed.
 */
export async function initDataFolder(dataFolder: string, options: InitDataFolderOptions): Promise<void> {
  const { binaries, account, folder, password, signal } = options
  const passwordFile = path.join(folder, 'password')
  writeFileSync(passwordFile, password, { mode: 0o600 })
  if (account !== undefined) chownSync(passwordFile, account.uid, account.gid)
  const args = [`--pgdata=${dataFolder}`, '--username=postgres', '--auth=scram-sha-256', `--pwfile=${passwordFile}`]
  // fsync is off in the server too; and nobody reads the instructions.
  args.push('--no-sync', '--no-instructions', '--encoding=UTF8', '--locale=C')
  // upper(), lower() and ILIKE know all letters, without any locale of the operating system (PostgreSQL 17+).
  if (binaries.majorVersion >= 17) args.push('--locale-provider=builtin', '--builtin-locale=C.UTF-8')
  try {
    await runCommand(executable(binaries.folder, 'initdb'), args, { account, signal, cwd: folder })
  } catch (cause) {
    // It was killed on the way, and may have had a server at work.
    const interrupted = signal.aborted && existsSync(path.join(dataFolder, 'postmaster.pid'))
    if (interrupted) await clearSharedMemory(binaries.folder, dataFolder, account)
    if (!(cause instanceof CommandError)) throw cause
    const closed = closedFolderError(folder, account, cause)
    if (closed !== undefined) throw closed
    throw new ClusterStartError('initdb failed', { cause, log: [cause.message, ...cause.output] })
  }
  rmSync(passwordFile)
}

/** Appends to postgresql.conf; the last line for a setting wins. */
export function appendSettings(dataFolder: string, settings: string): void {
  appendFileSync(path.join(dataFolder, 'postgresql.conf'), settings)
}

/**
 * Copies the data folder of a server that is not running. That is a complete base backup: a copy of it follows the
 * original from the same last checkpoint.
 *
 * https://www.postgresql.org/docs/current/backup-file.html
 */
export function copyDataFolder(from: string, to: string, account: Account | undefined): void {
  mkdirSync(to, { mode: 0o700 })
  if (account !== undefined) chownSync(to, account.uid, account.gid)
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const target = path.join(to, entry.name)
    if (entry.isDirectory()) {
      copyDataFolder(path.join(from, entry.name), target, account)
      continue
    }
    copyFileSync(path.join(from, entry.name), target, constants.COPYFILE_FICLONE)
    if (account !== undefined) chownSync(target, account.uid, account.gid)
  }
}

export interface StandbyOptions {
  readonly name: string
  readonly primaryPort: number
  readonly password: string
  readonly account: Account | undefined
}

/** Makes a data folder that of a hot standby which streams from the primary. */
export function makeStandby(dataFolder: string, options: StandbyOptions): void {
  const { name, primaryPort, password, account } = options
  const conninfo = `host=127.0.0.1 port=${primaryPort} user=postgres password=${password} application_name=${name}`
  appendSettings(dataFolder, `primary_conninfo = '${conninfo}'\n`)
  const marker = path.join(dataFolder, 'standby.signal')
  writeFileSync(marker, '')
  if (account !== undefined) chownSync(marker, account.uid, account.gid)
}
