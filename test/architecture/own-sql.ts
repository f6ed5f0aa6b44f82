import type { SourceFile } from './source-file.js'

/** SQL of the library's own begins with one of these, in lower case, or is a piece of SQL that names the catalog. */
const isSql = (text: string): boolean =>
  /^\s*(select|with|insert|update|delete)\s/.test(text) || /pg_catalog\./.test(text)

/** What looks like a call and is a word of the grammar, which finds no name. */
const grammar: ReadonlySet<string> = new Set([
  'coalesce',
  'greatest',
  'least',
  'extract',
  'exists',
  'nullif',
  'operator',
])
/** Words of the grammar that look an operator up: IN, LIKE, BETWEEN, DISTINCT FROM, a CASE over a value. */
const hiddenOperator = /\b(in\s*\(|like\b|ilike\b|between\b|similar\b|distinct\s+from|any\b|some\b|case\s+(?!when\b))/i

/**
 * Names in the library's own SQL that are looked up in the search_path: whatever lies there, or fits better, would be found
 * in place of the server's own. https://www.postgresql.org/docs/18/typeconv-func.html
 */
export function unqualifiedSql(files: readonly SourceFile[]): string[] {
  return files.flatMap(({ path, strings, fragments }) =>
    [...strings, ...fragments].flatMap(({ text, line }) =>
      (isSql(text) ? unqualified(text) : []).map((what) => `${path}:${line} does not name pg_catalog: ${what}`),
    ),
  )
}

function unqualified(text: string): string[] {
  const found: string[] = []
  // What is in quotes finds nothing; a quoted piece that is cut by a placeholder stays open to the end.
  const bare = text.replace(/'[^']*('|$)/g, "''").replace(/--[^\n]*|\/\*.*?\*\//gs, ' ')
  for (const [, cast] of bare.matchAll(/::\s*(?!pg_catalog\.)([\w ]*)/g)) found.push(`the type ${cast}`)
  for (const [, name = ''] of bare.matchAll(/(?<![.\w$])([a-z_][\w]*)\(/gi)) {
    if (!grammar.has(name.toLowerCase())) found.push(`the function ${name}`)
  }
  for (const [, name] of bare.matchAll(/(?<![.\w])(pg_(?!catalog\.)\w+)(?!\()\b/g)) found.push(`the table ${name}`)
  const assigned = bare.replace(/operator\(pg_catalog\.[^)]+\)/gi, ' ').replace(/^(\s*update\b.*?\bset\b.*?)=/is, '$1')
  const sign = /[=<>~|&+!^#%]|\S\s+[-/]\s+\S/.exec(assigned)
  if (sign !== null) found.push(`the operator ${sign[0].trim()}`)
  const hidden = hiddenOperator.exec(assigned)
  if (hidden !== null) found.push(`the operator of ${hidden[0].trim()}`)
  return found
}
