import { readFile, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** Whose password is looked for. */
export interface PasswordOwner {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
}

/** Where the password file is when nobody names one. */
export function defaultPasswordFile(): string {
  const { APPDATA } = process.env
  return process.platform === 'win32'
    ? join(APPDATA ?? homedir(), 'postgresql', 'pgpass.conf')
    : join(homedir(), '.pgpass')
}

/**
 * The password of the first line that fits; undefined without one, and without a file. As for libpq a file that others
 * may read is not used: a warning says so.
 * https://www.postgresql.org/docs/18/libpq-pgpass.html
 */
export async function passwordFromFile(path: string, owner: PasswordOwner): Promise<string | undefined> {
  let text: string
  try {
    const { mode } = await stat(path)
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      process.emitWarning(`the password file ${path} is not used: others may read it; chmod 0600 it`, {
        type: 'LifeguardPasswordFileWarning',
      })
      return undefined
    }
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  return text
    .split(/\r?\n/)
    .map((line) => passwordOfLine(line, owner))
    .find((found) => found !== undefined)
}

/** `host:port:database:user:password`, where `*` fits all, and a backslash goes before a colon or a backslash. */
function passwordOfLine(line: string, { host, port, database, user }: PasswordOwner): string | undefined {
  if (line.startsWith('#')) return undefined
  const fields = [...line.matchAll(/((?:[^:\\]|\\.)*)(?::|$)/g)].map(([, field = '']) => field.replace(/\\(.)/g, '$1'))
  if (fields.length < 5) return undefined
  const fits = [host, String(port), database, user].every((value, at) => fields[at] === '*' || fields[at] === value)
  return fits ? fields[4] : undefined
}
