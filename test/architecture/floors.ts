import { fileOf, packageOf, relativeTarget } from './modules.js'
import type { SourceFile } from './source-file.js'

/**
 * The floors of the core, lowest first: a file imports from lower floors, or from its own folder. Two folders on one
 * line are one floor, of which a later one may import an earlier one.
 */
const floors: readonly (readonly string[])[] = [
  ['errors', 'observe', 'deadline'],
  ['sql', 'resilience', 'resource-pool'],
  ['connection'],
  ['server', 'query'],
  ['cluster'],
  ['transaction'],
  ['lock', 'listen', 'pg-compat', 'options'],
  ['pool'],
]
const core = 'packages/core/src/'
/** Files that stand in src itself put the rest together: they are above every floor. */
const top = floors.flat().length

/** Imports in the core that lead upward, and folders that are no floor. */
export function upwardImports(files: readonly SourceFile[]): string[] {
  const found: string[] = []
  for (const file of files) {
    if (!file.path.startsWith(core)) continue
    const from = floorOf(file.path)
    if (from === undefined) {
      found.push(`${file.path}: its folder is on no floor; give it a place in test/architecture/floors.ts`)
      continue
    }
    for (const one of file.imports) {
      const target = relativeTarget(file.path, one.specifier)
      if (target === undefined) continue
      const to = floorOf(target)
      if (to !== undefined && to > from) {
        found.push(`${file.path}:${one.line} imports upward: ${one.specifier}${one.isType ? ' (a type)' : ''}`)
      }
    }
  }
  return found
}

function floorOf(path: string): number | undefined {
  const [folder, ...rest] = path.slice(core.length).split('/')
  if (rest.length === 0) return top
  const at = floors.flat().indexOf(folder ?? '')
  return at === -1 ? undefined : at
}

/** Circles of imports, types included, each reported once. */
export function importCircles(files: readonly SourceFile[]): string[] {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const done = new Set<string>()
  const found: string[] = []
  const visit = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path)
    if (at !== -1) {
      found.push(`a circle: ${[...trail.slice(at), path].join(' -> ')}`)
      return
    }
    if (done.has(path)) return
    const file = byPath.get(path)
    if (file === undefined) return
    for (const { specifier } of file.imports) {
      const target = relativeTarget(path, specifier)
      if (target !== undefined) visit(target, [...trail, path])
    }
    done.add(path)
  }
  for (const { path } of files) visit(path, [])
  return found
}

/** Relative imports that lead to no file, or out of the package's src folder. */
export function strayImports(files: readonly SourceFile[]): string[] {
  const paths = new Set(files.map((file) => file.path))
  const found: string[] = []
  for (const file of files) {
    for (const { specifier, line } of file.imports) {
      const target = relativeTarget(file.path, specifier)
      if (target === undefined) continue
      if (packageOf(target) !== packageOf(file.path) || !target.includes('/src/')) {
        found.push(`${file.path}:${line} imports from outside of its package: ${specifier}`)
      } else if (!paths.has(target) && !paths.has(fileOf(target))) {
        found.push(`${file.path}:${line} imports a file that is not there: ${specifier}`)
      }
    }
  }
  return found
}
