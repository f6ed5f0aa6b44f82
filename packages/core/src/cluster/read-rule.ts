import { isMark, type SqlToken, sqlTokens } from '../sql/tokens.js'
import { isCalled } from './called.js'
import { readFunctionNames, sameServerFunctionNames } from './read-functions.js'

/** What a pool's own functions are to the read rule. */
export interface ReadRuleOptions {
  /**
   * Functions beside PostgreSQL's own that change nothing, so that a statement that calls them may go to a replica. In
   * small letters unless they are created with quotes; with the schema, when statements name it.
   *
   * @default []
   */
  readonly readFunctions?: readonly string[] | undefined
  /**
   * Names of functions that are to keep a statement on the primary, although PostgreSQL has a harmless one of that name,
   * and of tables and views that do (a view may call anything).
   *
   * @default []
   */
  readonly primaryOnly?: readonly string[] | undefined
}

/** Words that stand in a statement that changes something, wherever it is; or, harmlessly, for a column of that name. */
const changing: ReadonlySet<string> = new Set(['insert', 'update', 'delete', 'merge', 'into'])
/** `close` ends a stream: it neither reads nor changes anything. */
const beginnings: ReadonlySet<string> = new Set(['select', 'values', 'table', 'with', 'show', 'close'])
const locking: ReadonlySet<string> = new Set(['update', 'share', 'no', 'key'])

/** How many texts are remembered, and how long one may be that is looked at: a longer one is not worth the time. */
const mostTexts = 2_000
const longestText = 20_000

/**
 * Tells, by the text alone, whether a statement may run on a replica. It errs to one side: what it does not understand
 * belongs to the primary. What it cannot see (what a view, an operator, a cast or a policy calls, and a function of a row
 * that is written as a column of it) is left to the server, which refuses every change on a replica.
 */
export class ReadRule {
  readonly #functions: ReadonlySet<string>
  readonly #primaryOnly: ReadonlySet<string>
  readonly #isSameServer: boolean
  /** Oldest first. */
  readonly #known = new Map<string, boolean>()

  /**
   * @param where `same-server`: the rule for a read that is sent once more to the server that it was sent to before, which
   * may therefore ask that server about itself
   */
  constructor({ readFunctions = [], primaryOnly = [] }: ReadRuleOptions = {}, where?: 'same-server') {
    this.#isSameServer = where === 'same-server'
    this.#primaryOnly = new Set(primaryOnly)
    const own = this.#isSameServer ? [...readFunctionNames, ...sameServerFunctionNames] : readFunctionNames
    this.#functions = new Set([...own, ...readFunctions].filter((name) => !this.#primaryOnly.has(name)))
  }

  /** Whether the text is one statement that only reads. Remembered for each text. */
  allows(text: string): boolean {
    const known = this.#known.get(text)
    if (known !== undefined) return known
    const allowed = text.length <= longestText && this.#judge(text)
    this.#remember(text, allowed)
    return allowed
  }

  /** A server has refused the text on a replica: from here on it belongs to the primary. */
  refuse(text: string): void {
    this.#remember(text, false)
  }

  #remember(text: string, allowed: boolean): void {
    if (text.length > longestText) return
    this.#known.delete(text)
    this.#known.set(text, allowed)
    if (this.#known.size <= mostTexts) return
    for (const oldest of this.#known.keys()) {
      this.#known.delete(oldest)
      break
    }
  }

  #judge(text: string): boolean {
    const tokens = sqlTokens(text)
    if (tokens === undefined) return false
    while (isMark(tokens.at(-1), ';')) tokens.pop()
    const first = tokens.find((token) => !isMark(token, '('))
    if (first?.kind !== 'word' || !beginnings.has(first.text)) return false
    return tokens.every((token, at) => this.#isHarmless(token, tokens, at))
  }

  #isHarmless(token: SqlToken, tokens: readonly SqlToken[], at: number): boolean {
    if (token.kind === 'mark') return token.text !== ';'
    if (token.kind === 'value') return true
    const next = tokens[at + 1]
    const name = qualifiedName(tokens, at)
    if (this.#primaryOnly.has(token.text) || this.#primaryOnly.has(name)) return false
    if (token.kind === 'word') {
      if (changing.has(token.text)) return false
      if (token.text === 'for' && next?.kind === 'word' && locking.has(next.text)) return false
    }
    if (isCalled(tokens, at)) return this.#functions.has(name) || this.#isCallOfOurs(name)
    // Tables and functions of the server itself tell about the server that is asked; temporary tables belong to a session.
    if (!token.text.startsWith('pg_') || token.text === 'pg_catalog') return true
    return this.#isSameServer && !token.text.startsWith('pg_temp')
  }

  #isCallOfOurs(name: string): boolean {
    return name.startsWith('pg_catalog.') && this.#functions.has(name.slice('pg_catalog.'.length))
  }
}

const standard = new ReadRule()

/**
 * Whether a text is one statement that only reads, by the rule of a pool without `readFunctions` and `primaryOnly`: for
 * adapters and for tests. Unknown means no.
 */
export function isReadOnlyText(text: string): boolean {
  return standard.allows(text)
}

/** The name that ends at this token, with the schema in front of it if there is one. */
function qualifiedName(tokens: readonly SqlToken[], at: number): string {
  const schema = tokens[at - 2]
  const own = tokens[at]?.text ?? ''
  if (!isMark(tokens[at - 1], '.') || schema === undefined || schema.kind === 'mark') return own
  return `${schema.text}.${own}`
}
