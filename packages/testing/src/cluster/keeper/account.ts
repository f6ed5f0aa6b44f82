import { readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { ClusterStartError } from '../errors.js'

/** The account the servers run under. */
export interface Account {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/** Unprivileged accounts that exist on nearly every machine; none is ever created. */
const candidates = ['postgres', '_postgres', 'nobody']

/**
 * PostgreSQL refuses to run as root. As root this picks an account to run it under; as anyone else, and on
 * Windows, it is `undefined`: the servers run as the user who asked.
 */
export function pickAccount(passwdFile = '/etc/passwd'): Account | undefined {
  if (process.getuid?.() !== 0) return undefined
  const accounts = new Map<string, Account>()
  for (const line of readFileSync(passwdFile, 'utf8').split('\n')) {
    const [name, , uid, gid] = line.split(':')
    if (name === undefined || uid === undefined || gid === undefined) continue
    // macOS writes nobody's uid as -2.
    accounts.set(name, { name, uid: Number(uid) >>> 0, gid: Number(gid) >>> 0 })
  }
  for (const name of candidates) {
    const account = accounts.get(name)
    if (account !== undefined && account.uid !== 0) return account
  }
  throw new ClusterStartError(
    `PostgreSQL refuses to run as root, and ${passwdFile} has none of the accounts ${candidates.join(', ')} to run it under: run as a normal user, or add one`,
  )
}

/**
 * The first folder on the way to `folder` that the account may not enter, judged by the mode bits alone. Good
 * enough to explain a failure, not to predict one: access lists can allow more.
 */
export function firstClosedFolder(folder: string, account: Account): string | undefined {
  const closed: string[] = []
  for (let at = path.dirname(folder); ; at = path.dirname(at)) {
    const { mode, uid, gid } = statSync(at)
    const bit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001
    if ((mode & bit) === 0) closed.push(at)
    if (at === path.dirname(at)) return closed.at(-1)
  }
}

/** The error that says so, when a program failed because the cluster's folder is closed to its account. */
export function closedFolderError(
  folder: string,
  account: Account | undefined,
  cause: unknown,
): ClusterStartError | undefined {
  const closed = account === undefined ? undefined : firstClosedFolder(folder, account)
  if (closed === undefined || account === undefined) return undefined
  return new ClusterStartError(
    `${closed} is closed to the account ${account.name}, under which PostgreSQL runs when the caller is root: set TMPDIR to a folder that everyone may enter`,
    { cause },
  )
}
