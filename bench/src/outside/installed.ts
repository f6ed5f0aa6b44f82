import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

/** Where Debian has the packages of Go. */
export const goPath = '/usr/share/gocode'
const pgxFolder = `${goPath}/src/github.com/jackc/pgx/v4`

/** Whether a program can be started; each says its version when it is asked for it in this way. */
function runs(program: string, ...args: readonly string[]): boolean {
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0
}

/** What is to be installed before `program` of PostgreSQL's client can be measured; undefined for nothing. */
export function missingOfClient(program: 'psql' | 'pgbench'): string | undefined {
  if (process.platform === 'win32') return 'a shell with times'
  if (runs(program, '--version')) return undefined
  return `${program} (apt-get install ${program === 'psql' ? 'postgresql-client' : 'postgresql-contrib'})`
}

/** What is to be installed before pgx can be measured; undefined for nothing. */
export function missingOfPgx(): string | undefined {
  const packages = [
    ...(runs('go', 'version') ? [] : ['golang']),
    ...(existsSync(pgxFolder) ? [] : ['golang-github-jackc-pgx-v4-dev']),
  ]
  return packages.length === 0 ? undefined : `${packages.join(' and ')} (apt-get install ${packages.join(' ')})`
}
