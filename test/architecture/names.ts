import { relativeTarget } from './modules.js'
import type { SourceFile } from './source-file.js'

/** A concept has a name of its own; these say only that something did not find its place. */
const empty = /(^|-)(utils?|helpers?|managers?|common|misc)(-|\.|$)/
const emptyName = /(Utils?|Helpers?|Managers?)$/
const interfacePrefix = /^I[A-Z][a-z]/
const kebab = /^[a-z0-9]+(-[a-z0-9]+)*$/
const endings = /(\.[a-z]+)*\.ts$/

/** Files and folders that are not in kebab-case, or whose name says nothing. */
export function wrongFileNames(paths: readonly string[]): string[] {
  return paths.flatMap((path) => {
    const parts = path.replace(endings, '').split('/')
    if (!parts.every((part) => kebab.test(part))) return [`${path}: files and folders are named in kebab-case`]
    if (parts.some((part) => empty.test(part))) return [`${path}: name it after what it is about`]
    return []
  })
}

/** Types and functions with a prefix or an ending that says nothing. */
export function wrongNames(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) =>
    file.declared
      .filter(({ text }) => interfacePrefix.test(text) || emptyName.test(text))
      .map(({ text, line }) => `${file.path}:${line} declares ${text}: name it after what it is about`),
  )
}

/** The longest that a file of one concept gets. */
const mostLines = 600

/** Files that are longer than a concept should need. */
export function longFiles(files: readonly SourceFile[]): string[] {
  return files
    .filter(({ lines }) => lines > mostLines)
    .map(({ path, lines }) => `${path} has ${lines} lines: one concept a file, ${mostLines} lines at most`)
}

/** Shorter than this, a file of its own is more to find than to read. */
const fewLines = 60

/** Short files that only one other file imports; what only an entry exports has to be somewhere. */
export function smallFiles(files: readonly SourceFile[], entries: ReadonlySet<string>): string[] {
  const importers = new Map<string, Set<string>>()
  for (const { path, imports } of files) {
    for (const { specifier } of imports) {
      const target = relativeTarget(path, specifier)
      if (target !== undefined) importers.set(target, (importers.get(target) ?? new Set()).add(path))
    }
  }
  return files.flatMap(({ path, lines }) => {
    const [only, ...others] = importers.get(path) ?? []
    if (lines >= fewLines || only === undefined || others.length > 0 || entries.has(only)) return []
    const length = lines === 1 ? '1 line' : `${lines} lines`
    return [`${path} has ${length}, and only ${only} imports it: make it a section of that file`]
  })
}

/** Re-exports belong into the files that package.json exports; anywhere else they hide where things are. */
export function innerBarrels(files: readonly SourceFile[], entries: ReadonlySet<string>): string[] {
  return files
    .filter(({ path, isBarrel }) => !entries.has(path) && (isBarrel || path.endsWith('/index.ts')))
    .map(({ path }) => `${path} is an inner barrel: import from the file that has it`)
}

/** Exports are named one by one, but for an adapter, which passes the whole core on. */
export function unnamedExports(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) =>
    file.starExports
      .filter(({ text }) => text !== '@pg-lifeguard/core')
      .map(({ text, line }) => `${file.path}:${line} exports * from ${text}: name what is exported`),
  )
}
