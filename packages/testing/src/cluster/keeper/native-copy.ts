import {
  chmodSync,
  constants,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import path from 'node:path'

/** Not needed to run a server. */
const skipped = new Set(['include', 'pkgconfig', 'pgxs', 'doc', 'man'])

/**
 * Puts the binaries into the cluster's own folder, where the account can reach them, and adds the links between
 * the libraries that the postinstall of the npm package would have made. Hard links where possible: 60 MB in
 * milliseconds, and nothing doubled.
 */
export function copyNative(from: string, to: string): void {
  copyFolder(from, to)
  addLibraryLinks(from, to)
}

function copyFolder(from: string, to: string): void {
  mkdirSync(to, { mode: 0o755, recursive: true })
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    if (skipped.has(entry.name) || entry.name.endsWith('.a')) continue
    const source = path.join(from, entry.name)
    const target = path.join(to, entry.name)
    if (entry.isDirectory()) copyFolder(source, target)
    else if (entry.isSymbolicLink()) symlinkSync(readlinkSync(source), target)
    else copyOrLink(source, target, path.basename(from) === 'bin' ? 0o555 : 0o444)
  }
}

/** A hard link shares its mode with the original: a file that lacks the `needed` bits is copied instead. */
function copyOrLink(source: string, target: string, needed: number): void {
  if ((statSync(source).mode & needed) === needed) {
    try {
      linkSync(source, target)
      return
    } catch (error) {
      // Another file system, or the system forbids links to files of others: a copy does as well.
      if (!isLinkRefusal(error)) throw error
    }
  }
  copyFileSync(source, target, constants.COPYFILE_FICLONE)
  chmodSync(target, needed | 0o200)
}

function isLinkRefusal(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code ?? ''
  return ['EXDEV', 'EPERM', 'EACCES', 'EMLINK', 'ENOTSUP', 'ENOSYS'].includes(code)
}

function addLibraryLinks(from: string, to: string): void {
  const list = path.join(from, 'pg-symlinks.json')
  if (!existsSync(list)) return
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]
  for (const { source, target } of links) {
    // Both are relative to the package: native/lib/libpq.so.5.18 -> native/lib/libpq.so.5
    const link = path.join(to, path.relative('native', target))
    const pointsAt = path.relative(path.dirname(target), source)
    if (!existsSync(link)) symlinkSync(pointsAt, link)
  }
}
