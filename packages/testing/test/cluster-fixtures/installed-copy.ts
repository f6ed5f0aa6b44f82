import {
  constants,
  copyFileSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'

const packageFolder = path.resolve(import.meta.dirname, '../..')

function linkOrCopy(source: string, target: string): void {
  try {
    linkSync(source, target)
  } catch (error) {
    // Another file system, or somebody else's file.
    if (!(error instanceof Error && 'code' in error)) throw error
    copyFileSync(source, target, constants.COPYFILE_FICLONE)
  }
}

/** Files and folders as the registry delivers them: without any symbolic link. */
export function copyWithoutLinks(from: string, to: string): void {
  mkdirSync(to, { recursive: true, mode: 0o755 })
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    if (entry.name === 'node_modules' || entry.isSymbolicLink()) continue
    const [source, target] = [path.join(from, entry.name), path.join(to, entry.name)]
    if (entry.isDirectory()) copyWithoutLinks(source, target)
    else linkOrCopy(source, target)
  }
}

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

/** The folder of a dependency, found the way Node does: up through the node_modules folders. */
function findPackage(name: string, from: string): string | undefined {
  const folders = createRequire(path.join(from, 'package.json')).resolve.paths(name) ?? []
  return folders.map((folder) => path.join(folder, name)).find((folder) => existsSync(folder))
}

function addDependencies(of: string, nodeModules: string): void {
  const { dependencies, optionalDependencies } = JSON.parse(
    readFileSync(path.join(of, 'package.json'), 'utf8'),
  ) as Manifest
  for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
    const target = path.join(nodeModules, name)
    const found = findPackage(name, of)
    if (found === undefined || existsSync(target) || name.startsWith('@types/')) continue
    copyWithoutLinks(found, target)
    // The real folder: pnpm puts the dependencies of a package beside that one.
    addDependencies(realpathSync(found), nodeModules)
  }
}

export interface InstalledCopy {
  readonly script: string
  readonly execPath: string
}

/**
 * A project that has this package installed, by a package manager that runs no postinstall scripts: the package, its
 * dependencies and Node itself, all inside one folder.
 */
export function installCopy(folder: string): InstalledCopy {
  const nodeModules = path.join(folder, 'node_modules')
  const target = path.join(nodeModules, '@pg-lifeguard/testing')
  mkdirSync(target, { recursive: true })
  cpSync(path.join(packageFolder, 'dist'), path.join(target, 'dist'), { recursive: true })
  linkOrCopy(path.join(packageFolder, 'package.json'), path.join(target, 'package.json'))
  addDependencies(packageFolder, nodeModules)
  writeFileSync(path.join(folder, 'package.json'), '{ "type": "module" }')
  const script = path.join(folder, 'start-and.ts')
  copyFileSync(path.join(import.meta.dirname, 'start-and.ts'), script)
  const execPath = path.join(folder, path.basename(process.execPath))
  linkOrCopy(process.execPath, execPath)
  return { script, execPath }
}
