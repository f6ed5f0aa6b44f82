import { isMark, type SqlToken, sqlTokens } from './tokens.js'

/** Words that stand in a statement that changes something, wherever it is; or, harmlessly, for a column of that name. */
const changing: ReadonlySet<string> = new Set(['insert', 'update', 'delete', 'merge', 'into'])
/** `close` ends a stream: it neither reads nor changes anything. */
const beginnings: ReadonlySet<string> = new Set(['select', 'values', 'table', 'with', 'show', 'close'])
const locking: ReadonlySet<string> = new Set(['update', 'share', 'no', 'key'])

/** What an SQL text reads: whether that may be read elsewhere is for a rule to say. */
export interface Reading {
  /** The functions that it calls, as they are written, with their schemas. */
  readonly calls: readonly string[]
  /** All names and words in it, each with its schema and without. */
  readonly names: ReadonlySet<string>
  /**
   * Whether it names something that is about the server that is asked, or about its session, to which temporary tables
   * belong.
   */
  readonly isAbout: 'data' | 'server' | 'session'
}

/** A longer SQL text is not worth the time. */
export const longestRead = 20_000

/** Undefined where the SQL text is not certain to be one statement that changes nothing by its own words. */
export function readingOf(text: string): Reading | undefined {
  const tokens = text.length <= longestRead ? sqlTokens(text) : undefined
  if (tokens === undefined) return undefined
  while (isMark(tokens.at(-1), ';')) tokens.pop()
  const first = tokens.find((token) => !isMark(token, '('))
  if (first?.kind !== 'word' || !(beginnings.has(first.text) || goesBack(tokens))) return undefined
  const calls: string[] = []
  const names = new Set<string>()
  let isAbout: Reading['isAbout'] = 'data'
  for (const [at, token] of tokens.entries()) {
    if (token.kind === 'value') continue
    if (token.kind === 'mark') {
      if (token.text === ';') return undefined
      continue
    }
    if (token.kind === 'word' && changes(token, tokens[at + 1])) return undefined
    const name = qualifiedName(tokens, at)
    names.add(token.text)
    names.add(name)
    if (isCalled(tokens, at)) calls.push(name)
    else if (token.text.startsWith('pg_temp')) isAbout = 'session'
    else if (token.text.startsWith('pg_') && token.text !== 'pg_catalog' && isAbout === 'data') isAbout = 'server'
  }
  return { calls, names, isAbout }
}

/** ROLLBACK TO SAVEPOINT: it undoes what was read as well as what was changed, and ends no transaction. */
function goesBack([first, second]: readonly SqlToken[]): boolean {
  return first?.kind === 'word' && first.text === 'rollback' && second?.kind === 'word' && second.text === 'to'
}

function changes({ text }: SqlToken, next: SqlToken | undefined): boolean {
  return changing.has(text) || (text === 'for' && next?.kind === 'word' && locking.has(next.text))
}

/** The name that ends at this token, with the schema in front of it if there is one. */
function qualifiedName(tokens: readonly SqlToken[], at: number): string {
  const schema = tokens[at - 2]
  const own = tokens[at]?.text ?? ''
  if (!isMark(tokens[at - 1], '.') || schema === undefined || schema.kind === 'mark') return own
  return `${schema.text}.${own}`
}

/**
 * Words that no function can have for a name unless it is written in quotes or after its schema, so that a bracket
 * after them calls nothing: https://www.postgresql.org/docs/18/sql-keywords-appendix.html
 */
const reserved: ReadonlySet<string> = new Set(
  `all and any array as between case distinct else end except exists from group having in intersect lateral limit not
  offset on only or order returning select some symmetric then to union using values when where with`
    .trim()
    .split(/\s+/),
)

/** Words that a function can be called by, and what stands right before them where they are words of the language. */
const after: Readonly<Record<string, readonly string[]>> = {
  by: ['order', 'group', 'partition'],
  first: ['fetch'],
  next: ['fetch'],
  sets: ['grouping'],
  join: ['left', 'right', 'full', 'inner', 'outer', 'cross', 'natural'],
  // Methods of TABLESAMPLE, which are no functions of SQL.
  bernoulli: ['tablesample'],
  system: ['tablesample'],
}

/** Words that an expression may begin after, beside those that are reserved. */
const leading: ReadonlySet<string> = new Set(
  'by collate escape first groups ilike is like next operator overlaps range rows'.split(' '),
)

/** Whether the bracket after this token calls a function of that name: it does, unless it is certain that it does not. */
function isCalled(tokens: readonly SqlToken[], at: number): boolean {
  const token = tokens[at]
  if (token === undefined || !isMark(tokens[at + 1], '(')) return false
  return !(isLanguage(token, tokens, at) || isAlias(tokens, at) || isCteWithColumns(tokens, at))
}

/** A word that is part of the language where it stands, although it may be the name of a function elsewhere. */
function isLanguage({ kind, text }: SqlToken, tokens: readonly SqlToken[], at: number): boolean {
  const before = tokens[at - 1]
  // `shop.any (1)` calls: after a dot there are no words of the language.
  if (kind !== 'word' || isMark(before, '.')) return false
  if (reserved.has(text)) return true
  if (before?.kind === 'word' && Object.hasOwn(after, text) && after[text]?.includes(before.text) === true) return true
  switch (text) {
    case 'filter':
    case 'over':
    case 'repeatable':
      return isMark(before, ')')
    case 'materialized':
      return isWord(before, 'not') && isWord(tokens[at - 2], 'as')
    case 'join':
      return endsOperand(before)
    case 'like':
    case 'ilike':
      return endsOperand(isWord(before, 'not') ? tokens[at - 2] : before)
    case 'cube':
    case 'rollup':
      return isGrouping(tokens, at)
    default:
      return false
  }
}

function isWord(token: SqlToken | undefined, text: string): boolean {
  return token?.kind === 'word' && token.text === text
}

/** Whether a table or a value ends with this token, so that what follows stands between it and another one. */
function endsOperand(token: SqlToken | undefined): boolean {
  if (token === undefined) return false
  if (token.kind === 'mark') return token.text === ')' || token.text === ']'
  return token.kind !== 'word' || !(reserved.has(token.text) || leading.has(token.text))
}

/** Whether this stands in the list of GROUP BY itself, or of its GROUPING SETS: the way back leads to `group by`. */
function isGrouping(tokens: readonly SqlToken[], at: number): boolean {
  const before = tokens[at - 1]
  if (!(isMark(before, ',') || isMark(before, '(') || isWord(before, 'by'))) return false
  let depth = 0
  for (let back = at - 1; back > 0; back -= 1) {
    const token = tokens[back]
    if (isMark(token, ')')) depth += 1
    else if (isMark(token, '(')) {
      depth -= 1
      if (depth < 0 && !(isWord(tokens[back - 1], 'sets') && isWord(tokens[back - 2], 'grouping'))) return false
      depth = Math.max(depth, 0)
    } else if (depth === 0 && isWord(token, 'by')) return isWord(tokens[back - 1], 'group')
    else if (depth === 0 && token?.kind === 'word' && reserved.has(token.text)) return false
  }
  return false
}

/** `as name (a, b)`: columns of an alias, or the length of a type; nothing is called after AS. */
function isAlias(tokens: readonly SqlToken[], at: number): boolean {
  return isWord(tokens[at - 1], 'as') && !isMark(tokens[at - 2], '.')
}

/** `with name (a, b) as (select ...`: a name with brackets that is no call. */
function isCteWithColumns(tokens: readonly SqlToken[], at: number): boolean {
  const before = tokens[at - 1]
  if (!(isWord(before, 'with') || isWord(before, 'recursive') || isMark(before, ','))) return false
  let end = at + 2
  while (end < tokens.length && !isMark(tokens[end], ')')) {
    // Names and commas alone.
    if (tokens[end]?.kind === 'value' || (tokens[end]?.kind === 'mark' && !isMark(tokens[end], ','))) return false
    end += 1
  }
  const [as, ...rest] = tokens.slice(end + 1, end + 6)
  if (!isWord(as, 'as')) return false
  const bracket = rest.findIndex((token) => isMark(token, '('))
  const words = rest.slice(0, Math.max(0, bracket))
  const inside = rest[bracket + 1]
  // After a function in FROM, `as (` lists columns, none of which can have a reserved word for a name.
  return (
    bracket !== -1 &&
    words.every(({ text }) => text === 'not' || text === 'materialized') &&
    inside?.kind === 'word' &&
    (inside.text === 'select' || inside.text === 'with' || inside.text === 'table')
  )
}
