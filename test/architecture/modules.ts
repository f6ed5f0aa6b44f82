import { posix } from 'node:path'

/** The source file that a relative import leads to; undefined for packages. */
export function relativeTarget(from: string, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined
  return posix.join(posix.dirname(from), specifier).replace(/\.js$/, '.ts')
}

/** A declaration file stands where a source file of the same name might. */
export function fileOf(path: string): string {
  return path.replace(/\.ts$/, '.d.ts')
}

/** The folder of the package that a file is in: `packages/core`. */
export function packageOf(path: string): string {
  return path.split('/').slice(0, 2).join('/')
}

/** The package that a specifier names, without the path inside of it; undefined for Node's own and relative ones. */
export function packageName(specifier: string): string | undefined {
  if (specifier.startsWith('.') || specifier.startsWith('node:')) return undefined
  const parts = specifier.split('/')
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0]
}
