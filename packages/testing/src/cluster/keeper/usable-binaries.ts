import path from 'node:path'
import { EmbeddedPostgresUnavailableError } from '../errors.js'
import { type Account, closedFolderError } from './account.js'
import { executable, resolveBinaries } from './binaries.js'
import { copyNative } from './native-copy.js'
import { CommandError, runCommand } from './run-command.js'

export interface UsableBinaries {
  readonly folder: string
  /** 18 for PostgreSQL 18.4. */
  readonly majorVersion: number
}

export interface UsableBinariesOptions {
  readonly binaries: string | undefined
  readonly account: Account | undefined
  /** The cluster's folder; a private copy goes in there when one is needed. */
  readonly folder: string
  readonly signal: AbortSignal
}

/**
 * Binaries that this account can really run, found out by running them: the project may be under a closed folder
 * (/root), the links between the libraries may be missing (package managers that run no postinstall), and the
 * executable bit too. In all these cases a private copy in the cluster's folder is used.
 *
 * @throws EmbeddedPostgresUnavailableError when there are none, or they do not run on this system.
 */
export async function usableBinaries(options: UsableBinariesOptions): Promise<UsableBinaries> {
  const installed = resolveBinaries(options)
  try {
    return { folder: installed, majorVersion: await readVersion(installed, options) }
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
  }
  const copy = path.join(options.folder, 'native')
  copyNative(installed, copy)
  try {
    return { folder: copy, majorVersion: await readVersion(copy, options) }
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    const closed = closedFolderError(options.folder, options.account, error)
    if (closed !== undefined) throw closed
    const reason = error.output.join(' ').trim() || error.message
    throw new EmbeddedPostgresUnavailableError(`the binaries in ${installed} do not run here (${reason})`, {
      cause: error,
    })
  }
}

/** initdb needs libpq on top of what postgres needs, and postgres libxml2: both have to run. */
async function readVersion(folder: string, options: UsableBinariesOptions): Promise<number> {
  const { account, signal } = options
  const commands = (['initdb', 'postgres'] as const).map((name) =>
    runCommand(executable(folder, name), ['--version'], { account, signal, cwd: options.folder }),
  )
  const [output = ''] = await Promise.all(commands)
  const major = /\(PostgreSQL\) (\d+)/.exec(output)?.[1]
  if (major === undefined) throw new CommandError(`initdb --version printed no version: ${output}`, [output])
  if (Number(major) < 15) {
    throw new EmbeddedPostgresUnavailableError(`${folder} holds PostgreSQL ${major}, and 15 is the oldest that works`)
  }
  return Number(major)
}
