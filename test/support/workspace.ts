import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const above = fileURLToPath(new URL('../..', import.meta.url))

/** The folder of the whole repository; compiled, this file lies a folder deeper than its source. */
export const root = existsSync(join(above, 'pnpm-workspace.yaml')) ? above : join(above, '..')

/** The parts of a package.json that the tests look at. */
export interface Manifest {
  readonly name: string
  readonly private?: boolean
  readonly homepage?: string
  readonly bugs?: string
  readonly repository?: Readonly<Record<string, string>>
  readonly exports?: Readonly<Record<string, string | ExportConditions>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
}

/** Where an entry of a package is, under conditions such as `import` and `types`. */
export interface ExportConditions {
  readonly [condition: string]: string | ExportConditions
}

/** One package of the workspace. */
export interface Package {
  /** Its folder, relative to the root: `packages/core`. */
  readonly folder: string
  readonly manifest: Manifest
}

/** Every package under packages/. */
export function packages(): Package[] {
  return files('packages/*/package.json').map((path) => ({
    folder: path.slice(0, -'/package.json'.length),
    manifest: JSON.parse(read(path)) as Manifest,
  }))
}

/** Paths below the root that match, with `/` on every platform, sorted. Installed and generated files are left out. */
export function files(...patterns: string[]): string[] {
  const leftOut = (path: string): boolean => /(^|[\\/])(node_modules|generated|\.turbo|\.git)([\\/]|$)/.test(path)
  return [...new Set(patterns.flatMap((pattern) => globSync(pattern, { cwd: root, exclude: leftOut })))]
    .map((path) => path.replaceAll('\\', '/'))
    .sort()
}

/** The text of a file below the root. */
export function read(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}
