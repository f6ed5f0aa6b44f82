import { type ConnectionFilter, checkConnectionFilter } from './connection-filter.js'
import { invalidOption } from './fault-proxy-error.js'
import { type Direction, messageCode, messageNames, type ToClientMessage, type ToServerMessage } from './messages.js'

/**
 * What a rule does.
 *
 * - `'cut'`: the client gets a TCP reset at once. The server processes all that was forwarded to it: its side is kept
 *   open and read until it has answered, and is then closed with a FIN.
 * - `'fin'`: the same, but the client sees an orderly end of the stream after what was forwarded to it.
 * - `'stall'`: nothing passes on this connection any more, either way, until `resume()`; other connections go on.
 * - `{ delayMs }`: what comes next in this direction waits for so many milliseconds; the other direction goes on.
 */
export type RuleAction = 'cut' | 'fin' | 'stall' | { readonly delayMs: number }

/** What every rule says. */
export interface RuleBasics {
  /** `'before'`: the message is not forwarded, all in front of it is. `'after'`: its last byte was just forwarded. */
  readonly when: 'before' | 'after'
  readonly action: RuleAction
  /** How often it fires before it is used up; Infinity for always. @default 1 */
  readonly count?: number
  /** How many matches to let pass first. @default 0 */
  readonly skip?: number
  /** Which connections it watches. @default 'all' */
  readonly connections?: ConnectionFilter
}

/** A rule on a message that the client sends. */
export interface ToServerRule extends RuleBasics {
  readonly direction: 'to-server'
  readonly message: ToServerMessage
  /** SQL of a Query, a Parse, or of the statement that an Execute runs. See TextPattern. */
  readonly text?: TextPattern
}

/** A rule on a message that the server sends. */
export interface ToClientRule extends RuleBasics {
  readonly direction: 'to-client'
  readonly message: ToClientMessage
  /** Command tag of a CommandComplete: `COMMIT`, `INSERT 0 1`. See TextPattern. */
  readonly text?: TextPattern
}

/**
 * A rule on a statement, whichever protocol carries it.
 * `'before'`: before the Query, or before the Execute that runs it: the server has nothing that would make it run.
 * `'after'`: after the Query, or after the Sync that follows that Execute: the server has all that makes it run.
 */
export interface StatementRule extends RuleBasics {
  /** Its SQL. See TextPattern. */
  readonly statement: TextPattern
}

/**
 * A string is compared, ignoring case, with the start of the SQL text or command tag, after blanks and comments; a RegExp is
 * searched anywhere. Only the first 1024 bytes are looked at.
 */
export type TextPattern = string | RegExp

/** What a fault proxy can do at a message. */
export type FaultRule = ToServerRule | ToClientRule | StatementRule

const textBearing: Readonly<Record<Direction, readonly string[]>> = {
  'to-server': ['Query', 'Parse', 'Execute'],
  'to-client': ['CommandComplete'],
}

/** A blank, a line comment, or the beginning of a comment in marks, as PostgreSQL reads them. */
const noise = /[ \t\n\r\f\v]+|--[^\n\r]*|\/\*/y
const commentMark = /\/\*|\*\//g

/** Where the SQL begins, after blanks and comments, which nest. */
function startOfText(text: string): number {
  let at = 0
  for (;;) {
    noise.lastIndex = at
    const found = noise.exec(text)
    if (found === null) return at
    at = found[0] === '/*' ? endOfComment(text, at) : noise.lastIndex
  }
}

function endOfComment(text: string, from: number): number {
  let depth = 0
  commentMark.lastIndex = from
  for (let found = commentMark.exec(text); found !== null; found = commentMark.exec(text)) {
    depth += found[0] === '/*' ? 1 : -1
    if (depth === 0) return commentMark.lastIndex
  }
  return text.length
}

/** True when the pattern fits the text. */
export function matchesText(pattern: TextPattern, text: string): boolean {
  if (typeof pattern === 'string') {
    const start = startOfText(text)
    return text.slice(start, start + pattern.length).toLowerCase() === pattern.toLowerCase()
  }
  // A sticky or global RegExp remembers where it stopped.
  pattern.lastIndex = 0
  return pattern.test(text)
}

/** Throws FAULT_PROXY_INVALID_OPTION for a rule that is not valid. */
export function checkRule(rule: FaultRule): void {
  if ('statement' in rule) checkPattern('statement', rule.statement)
  else checkMessage(rule)
  if (rule.when !== 'before' && rule.when !== 'after') throw invalidOption('when', rule.when, "'before', 'after'")
  checkAction(rule.action)
  const { count, skip } = rule
  if (count !== undefined && count !== Infinity && !(Number.isInteger(count) && count >= 1)) {
    throw invalidOption('count', count, 'an integer from 1, or Infinity')
  }
  if (skip !== undefined && !(Number.isInteger(skip) && skip >= 0)) {
    throw invalidOption('skip', skip, 'an integer from 0')
  }
  checkConnectionFilter('connections', rule.connections)
}

function checkMessage(rule: ToServerRule | ToClientRule): void {
  const { direction, message, text } = rule
  if (direction !== 'to-server' && direction !== 'to-client') {
    throw invalidOption('direction', direction, "'to-server', 'to-client' (or a rule with `statement`)")
  }
  if (messageCode(direction, message) === undefined) {
    throw invalidOption('message', message, `for ${direction}: ${messageNames(direction).join(', ')}`)
  }
  if (text === undefined) return
  if (!textBearing[direction].includes(message)) {
    throw invalidOption('text', text, `nothing for ${message}: only ${textBearing[direction].join(', ')} have a text`)
  }
  checkPattern('text', text)
}

function checkPattern(option: string, pattern: TextPattern): void {
  if (typeof pattern === 'string' ? pattern.trim() === '' : !(pattern instanceof RegExp)) {
    throw invalidOption(option, pattern, 'a string that is not blank, or a RegExp')
  }
}

function checkAction(action: RuleAction): void {
  if (action === 'cut' || action === 'fin' || action === 'stall') return
  const delayMs: unknown = typeof action === 'object' && action !== null ? action.delayMs : undefined
  if (typeof delayMs !== 'number' || !(delayMs > 0 && delayMs <= 600_000)) {
    throw invalidOption('action', JSON.stringify(action), "'cut', 'fin', 'stall', { delayMs: above 0, up to 600000 }")
  }
}
