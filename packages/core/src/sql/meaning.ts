import { leadingWords, startOfWords } from './leading-words.js'

/**
 * Whether prepared statements may mean something else after a statement: in no session, in its own, or in every session
 * of the database.
 *
 * The server looks again at what it has prepared when something that it uses was changed, and when the value of
 * search_path did. It does not see what would be found in another place by now (a table in an earlier schema, a better
 * overload), and keeps types of parameters and literals that were read with other settings.
 */
export type Effect = 'none' | 'session' | 'pool'

/** The stronger of two. */
export function stronger(one: Effect, other: Effect): Effect {
  if (one === 'pool' || other === 'pool') return 'pool'
  return one === 'none' ? other : one
}

/** Settings that are not looked at while a text is parsed or planned, or that cost no more than a better plan. */
const harmless: ReadonlySet<string> = new Set(
  `application_name autocommit characteristics client_min_messages commit_delay commit_siblings constraints
  cpu_tuple_cost cursor_tuple_fraction deadlock_timeout default_statistics_target default_transaction_deferrable
  default_transaction_isolation default_transaction_read_only effective_cache_size effective_io_concurrency
  force_parallel_mode hash_mem_multiplier idle_in_transaction_session_timeout idle_session_timeout jit lock_timeout
  logical_decoding_work_mem maintenance_work_mem max_parallel_maintenance_workers max_parallel_workers
  max_parallel_workers_per_gather plan_cache_mode random_page_cost row_security seq_page_cost statement_timeout
  synchronous_commit temp_buffers temp_file_limit temp_tablespaces transaction transaction_deferrable
  transaction_isolation transaction_read_only transaction_timeout vacuum_cost_delay vacuum_cost_limit work_mem`
    .trim()
    .split(/\s+/),
)

/** Whether statements may mean something else under another value of this setting. Those of extensions are for them. */
export function settingMatters(name: string): boolean {
  const small = name.toLowerCase()
  return !(small.includes('.') || harmless.has(small) || /^(?:enable|log|track|geqo|debug)_/.test(small))
}

/** What follows a word that the server reads as one. */
const wordEnd = '(?![\\w$\\u0080-\\uffff])'
const rows = new RegExp(`(?:select|insert|update|delete|with|values|merge|table)${wordEnd}`, 'iy')
const into = new RegExp(`(?<![a-z_\\u0080-\\uffff])into${wordEnd}`, 'gi')
const usualInto = /\b(?:insert|merge)[ \t\n\r\f\v]+into\b/gi
const otherName = /\bu&"/i

/** Whether a text begins as a statement that reads or writes rows, and has no word that could do more than that. */
export function isAboutRows(text: string): boolean {
  rows.lastIndex = startOfWords(text)
  return rows.test(text) && !mayMakeTable(text) && settingsByFunction(text) === 'none'
}

/** SELECT INTO; an `into` of INSERT or MERGE is none. */
function mayMakeTable(text: string): boolean {
  const found = text.match(into)
  return found !== null && found.length > (text.match(usualInto)?.length ?? 0)
}

const functionCall = /set_config/gi
const literalCall = /set_config[ \t\n\r\f\v]*\([ \t\n\r\f\v]*'([^'\\]*)'/gi
const allSettings = /pg_settings/i
const changing = /\bupdate\b/i

function settingsByFunction(text: string): Effect {
  if (otherName.test(text)) return 'session'
  if (allSettings.test(text) && changing.test(text)) return 'session'
  const calls = text.match(functionCall)?.length ?? 0
  if (calls === 0) return 'none'
  return namesOf(text, literalCall, calls) ? 'none' : 'session'
}

const settingWord = /\b(?:re)?set\b/gi
const settingNamed = /\b(?:re)?set[ \t\n\r\f\v]+(?:(?:session|local)[ \t\n\r\f\v]+)?([\w.]+)/gi

/** Whether each of the settings that are changed is named in a way that is understood, and does not matter. */
function namesOf(text: string, pattern: RegExp, count: number): boolean {
  let harmlessOnes = 0
  for (const [, name = ''] of text.matchAll(pattern)) if (!settingMatters(name)) harmlessOnes += 1
  return harmlessOnes >= count
}

const temporary = /^create\s+(?:(?:local|global)\s+)?temp(?:orary)?\b/
const temporaryInto = /\binto[ \t\n\r\f\v]+(?:(?:local|global)[ \t\n\r\f\v]+)?temp(?:orary)?\b/i
const makes = /\b(?:create|alter|drop|import|into|execute|grant|revoke)\b/i
const firstWord = /^[A-Z]+/

/**
 * What a statement has done to the meaning of others, by the server's word for it and by its text. What a function does
 * that it calls shows in neither.
 *
 * @param tag such as `CREATE TABLE`, `SET`, `SELECT 1`
 * @param text undefined where it is not known; '' for a statement of the pool's own
 */
export function effectOf(tag: string, text: string | undefined): Effect {
  switch (firstWord.exec(tag)?.[0]) {
    case 'SET':
    case 'RESET': {
      if (text === undefined) return 'session'
      return namesOf(text, settingNamed, text.match(settingWord)?.length ?? 1) ? 'none' : 'session'
    }
    case 'CREATE':
      return text !== undefined && !text.includes(';') && temporary.test(leadingWords(text)) ? 'session' : 'pool'
    case 'ALTER':
    case 'DROP':
    case 'IMPORT':
    case 'GRANT':
    case 'REVOKE':
    case 'REASSIGN':
      return 'pool'
    case 'DO':
      return text === undefined || makes.test(text) ? 'pool' : 'session'
    case 'CALL':
    case 'DISCARD':
      return 'session'
    case 'COMMIT':
      return tag === 'COMMIT PREPARED' ? 'pool' : 'none'
    case 'SELECT':
    case 'EXPLAIN':
    case 'INSERT':
    case 'UPDATE':
    case 'DELETE':
    case 'MERGE':
    case 'FETCH':
    case 'MOVE':
    case 'COPY':
      return effectOfRows(text)
    default:
      return 'none'
  }
}

/** CREATE TABLE AS and SELECT INTO are told as SELECT; EXECUTE as what it executes; EXPLAIN may run what it explains. */
function effectOfRows(text: string | undefined): Effect {
  if (text === undefined) return 'session'
  if (text === '' || isAboutRows(text)) return 'none'
  const first = leadingWords(text)
  const isTemporary = (temporary.test(first) || temporaryInto.test(text)) && !text.includes(';')
  if (mayMakeTable(text) || /\bcreate\b/i.test(text)) return isTemporary ? 'session' : 'pool'
  if (/\bexecute\b/i.test(text)) return 'session'
  return settingsByFunction(text)
}

/** The effect of a statement that failed: CALL and DO may have committed something by then. */
export function effectOfFailed(text: string): Effect {
  const first = leadingWords(text)
  return /^(?:call|do)\b/.test(first) ? effectOf(first.startsWith('do') ? 'DO' : 'CALL', text) : 'none'
}

const special = /(?<![a-z])(?:now(?![ \t\n\r\f\v]*\()|today|tomorrow|yesterday)(?![a-z])/i
const quote = /['$]/
/** Where a literal says it in another way: by escapes, or in parts on several lines. */
const disguised = /\\[0-7xu]|\bu&'|'[ \t\f\v]*(?:--[^\n\r]*)?[\n\r][ \t\n\r\f\v]*'/i

/**
 * Whether a literal of it may be a date or a time that depends on when it is read, such as 'now' or 'tomorrow 12:00'. The
 * server reads a literal when it prepares the statement. A word outside of quotes counts as well where there are any.
 */
export function mayHoldMoment(text: string): boolean {
  return quote.test(text) && (special.test(text) || disguised.test(text))
}
