import type { Package } from '../support/workspace.js'
import { packageName } from './modules.js'
import type { SourceFile } from './source-file.js'

/**
 * What a package imports and does not declare, and what it declares and does not import. What its own declarations name
 * must be there for the compiler of a user as well, so a type counts as much as a value; `@types/x` stands for x there.
 */
export function wrongDependencies({ folder, manifest }: Package, files: readonly SourceFile[]): string[] {
  const declared = new Set([
    ...Object.keys(manifest.dependencies ?? {}),
    ...Object.keys(manifest.peerDependencies ?? {}),
  ])
  const used = new Set<string>()
  const found: string[] = []
  for (const file of files) {
    if (!file.path.startsWith(`${folder}/src/`)) continue
    const resolved = file.strings.map(({ text }) => text).filter((text) => declared.has(text))
    for (const name of resolved) used.add(name)
    for (const { specifier, line, isType } of file.imports) {
      const name = packageName(specifier)
      if (name === undefined) continue
      used.add(name).add(typesOf(name))
      if (declared.has(name) || (isType && declared.has(typesOf(name)))) continue
      found.push(`${file.path}:${line} imports ${name}, which ${folder}/package.json does not declare`)
    }
  }
  for (const name of declared) if (!used.has(name)) found.push(`${folder}/package.json declares ${name}, unused in src`)
  return found
}

function typesOf(name: string): string {
  return name.startsWith('@') ? `@types/${name.slice(1).replace('/', '__')}` : `@types/${name}`
}

/** The source files that package.json exports. */
export function entriesOf({ folder, manifest }: Package): string[] {
  return Object.values(manifest.exports ?? {}).flatMap((target) => {
    const { import: imported = target } = typeof target === 'string' ? {} : target
    const path = typeof imported === 'string' ? imported : imported['default']
    if (typeof path !== 'string') return []
    if (!path.startsWith('./dist/')) return []
    return [`${folder}/src/${path.slice('./dist/'.length).replace(/\.js$/, '.ts')}`]
  })
}

/** Where `any` stands in the declarations that an entry reaches: it would switch the user's compiler off. */
export function publicAnys(entries: readonly string[], load: (path: string) => SourceFile): string[] {
  const found: string[] = []
  const seen = new Set<string>()
  const queue = [...entries]
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (seen.has(path)) continue
    seen.add(path)
    const file = load(path)
    for (const line of file.anys) found.push(`${path}:${line} has the type any`)
    for (const { specifier } of file.imports) {
      if (!specifier.startsWith('.')) continue
      const folder = path.slice(0, path.lastIndexOf('/') + 1)
      queue.push(new URL(specifier.replace(/\.js$/, '.d.ts'), `file:///${folder}`).pathname.slice(1))
    }
  }
  return found
}
