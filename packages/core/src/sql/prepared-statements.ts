import { inSmallLetters, SqlLexer } from './tokens.js'

/** Settings that are not read while a statement is parsed or planned, or that cost no more than a better plan. */
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
const harmlessKinds = ['enable_', 'log_', 'track_', 'geqo_', 'debug_']

/** Whether statements may mean something else under another value of this setting. Those of extensions are for them. */
export function settingMatters(name: string): boolean {
  const small = inSmallLetters(name)
  return !(small.includes('.') || harmless.has(small) || harmlessKinds.some((kind) => small.startsWith(kind)))
}

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

/** What an SQL text may do to the meaning of prepared statements, as far as its words show. */
export interface TextMeaning {
  /** One statement that reads or writes rows, and has no word in it that could do more than that. */
  readonly isAboutRows: boolean
  /** More than one statement, or not certain to be one. */
  readonly holdsSeveral: boolean
  /** By SELECT INTO, or by a CREATE that the server calls by another name. */
  readonly makes: Effect
  /** Its first statement is a CREATE TEMP, and there is no other. */
  readonly makesTemporary: boolean
  /** By SET and RESET, should there be one. */
  readonly sets: Effect
  /** By set_config, or by an update of pg_settings. */
  readonly configures: Effect
  /** It runs what was prepared by its name. */
  readonly executes: boolean
  /** A CALL or DO in it may commit before it fails. */
  readonly callsCode: boolean
}

/** Reads an SQL text, in both ways where a setting decides where its strings end; then the worse of the two counts. */
export function meaningOf(text: string): TextMeaning {
  return isSurelyAboutRows(text) ? aboutRows : meaningOfTokens(text)
}

/** Of most texts: what they begin with, and that a few words are nowhere in them, not in a string either, is enough. */
function isSurelyAboutRows(text: string): boolean {
  const lexer = new SqlLexer(text)
  do if (!lexer.next()) return false
  while (lexer.isMark('('))
  if (lexer.kind !== 'word' || lexer.end - lexer.start > longestWord) return false
  const first = lexer.text
  if (!rows.has(first)) return false
  if (first === 'insert') lexer.next()
  // After `into`, should it be that.
  remarkable.lastIndex = lexer.end
  return !remarkable.test(text)
}

/** A semicolon counts where more follows than blanks. */
const remarkable = /into|set_config|pg_settings|u&"|;(?![ \t\n\r\f\v]*$)/gi

const aboutRows: TextMeaning = {
  isAboutRows: true,
  holdsSeveral: false,
  makes: 'none',
  makesTemporary: false,
  sets: 'none',
  configures: 'none',
  executes: false,
  callsCode: false,
}

function meaningOfTokens(text: string): TextMeaning {
  const lexer = new SqlLexer(text)
  const one = read(lexer)
  if (!lexer.hasBackslash) return one
  const otherWay = new SqlLexer(text, true)
  const other = read(otherWay)
  // What is no SQL in that way never runs in it.
  if (otherWay.isBroken) return one
  return {
    isAboutRows: one.isAboutRows && other.isAboutRows,
    holdsSeveral: one.holdsSeveral || other.holdsSeveral,
    makes: stronger(one.makes, other.makes),
    makesTemporary: one.makesTemporary && other.makesTemporary,
    sets: stronger(one.sets, other.sets),
    configures: stronger(one.configures, other.configures),
    executes: one.executes || other.executes,
    callsCode: one.callsCode || other.callsCode,
  }
}

/** Statements that read or write rows begin with one of these. */
const rows: ReadonlySet<string> = new Set(['select', 'insert', 'update', 'delete', 'with', 'values', 'merge', 'table'])
const temporary: ReadonlySet<string> = new Set(['temp', 'temporary'])
const scopes: ReadonlySet<string> = new Set(['local', 'global'])
/** No word that is asked for is longer; what is, is not put into small letters for it. */
const longestWord = 64
const opening = 0x28
const closing = 0x29
const semicolon = 0x3b

function read(lexer: SqlLexer): TextMeaning {
  const words = new Words()
  const { sql } = lexer
  let statements = 0
  let isAfterEnd = true
  let holdsSeveral = false
  while (lexer.next()) {
    const mark = lexer.kind === 'mark' ? sql.charCodeAt(lexer.start) : 0
    if (mark === semicolon) {
      isAfterEnd = true
      words.endStatement()
      continue
    }
    if (isAfterEnd) {
      if (statements > 0) holdsSeveral = true
      if (mark !== opening) {
        isAfterEnd = false
        statements += 1
        words.beginStatement()
      } else if (statements > 0) isAfterEnd = false
    }
    words.take(lexer, mark)
  }
  words.endStatement()
  return words.meaning(holdsSeveral || (lexer.isBroken && sql.includes(';')), lexer.isBroken)
}

/** What is waited for after a word. */
type Awaited = 'into' | 'create' | 'setting' | 'call' | 'name' | undefined

/** What the words of an SQL text say, one after the other. */
class Words {
  #first: string | undefined
  #isFirst = false
  #before = ''
  #awaited: Awaited
  #makesTable = false
  #isTemporary = false
  #beginsTemporary = false
  #sets: Effect = 'none'
  #configures: Effect = 'none'
  #executes = false
  #callsCode = false
  #hasSettings = false
  #hasUpdate = false
  /** Whether there was a SELECT within each open bracket: after it, INTO makes a table whatever stands before it. */
  #selects: boolean[] = [false]

  beginStatement(): void {
    this.#isFirst = true
  }

  endStatement(): void {
    if (this.#awaited === 'setting') this.#sets = 'session'
    if (this.#awaited === 'call' || this.#awaited === 'name') this.#configures = 'session'
    this.#awaited = undefined
    this.#before = ''
    this.#selects = [false]
  }

  /** @param mark the code of the character that the token is; 0 for others */
  take(lexer: SqlLexer, mark: number): void {
    const { kind, start, end, sql } = lexer
    if (mark !== 0) {
      if (mark === opening) this.#selects.push(false)
      else if (mark === closing && this.#selects.length > 1) this.#selects.pop()
      if (this.#awaited !== undefined) this.#follow('', lexer)
      this.#before = ''
      return
    }
    const isShort = end - start <= longestWord
    const word = kind === 'word' && isShort ? lexer.text : ''
    if (this.#awaited !== undefined) this.#follow(word, lexer)
    if (kind === 'word') this.#word(word)
    else if (kind === 'name') {
      // A name by codes may be any.
      if (sql[start] !== '"') this.#configures = 'session'
      else if (isShort) this.#named(lexer.text)
    }
    this.#isFirst = false
    this.#before = word
  }

  #word(word: string): void {
    if (this.#isFirst) {
      this.#first ??= word
      if (word === 'create') this.#awaited = 'create'
      else if (word === 'call' || word === 'do') this.#callsCode = true
    }
    switch (word) {
      case 'select':
        this.#selects[this.#selects.length - 1] = true
        break
      case 'create':
        this.#makesTable = true
        break
      case 'into':
        // That of INSERT INTO and MERGE INTO makes nothing.
        if ((this.#before === 'insert' || this.#before === 'merge') && this.#selects.at(-1) !== true) break
        this.#makesTable = true
        this.#awaited = 'into'
        break
      case 'execute':
        this.#executes = true
        break
      case 'set':
      case 'reset':
        this.#awaited = 'setting'
        break
      case 'update':
        this.#hasUpdate = true
        break
      default:
        this.#named(word)
    }
  }

  #named(name: string): void {
    if (name === 'pg_settings') this.#hasSettings = true
    else if (name === 'set_config') this.#awaited = 'call'
  }

  /** What stands after a word that waits for it. */
  #follow(word: string, lexer: SqlLexer): void {
    const awaited = this.#awaited
    this.#awaited = undefined
    switch (awaited) {
      case 'create':
      case 'into':
        if (scopes.has(word)) this.#awaited = awaited
        else if (temporary.has(word)) {
          this.#isTemporary = true
          if (awaited === 'create') this.#beginsTemporary = true
        }
        break
      case 'setting':
        if ((word === 'session' || word === 'local') && this.#before !== word) this.#awaited = 'setting'
        else if (word === '' || settingMatters(settingName(word, lexer))) this.#sets = 'session'
        break
      case 'call':
        if (lexer.isMark('(')) this.#awaited = 'name'
        else this.#configures = 'session'
        break
      case 'name':
        if (!isHarmlessLiteral(lexer)) this.#configures = 'session'
        break
      case undefined:
        break
    }
  }

  meaning(holdsSeveral: boolean, isBroken: boolean): TextMeaning {
    const configures = this.#hasSettings && this.#hasUpdate ? 'session' : this.#configures
    const isTemporary = this.#isTemporary && !holdsSeveral && !isBroken
    const makes = this.#makesTable ? (isTemporary ? 'session' : 'pool') : 'none'
    return {
      isAboutRows:
        this.#first !== undefined &&
        rows.has(this.#first) &&
        !(holdsSeveral || isBroken) &&
        makes === 'none' &&
        configures === 'none',
      holdsSeveral,
      makes: isBroken ? 'pool' : makes,
      makesTemporary: this.#beginsTemporary && isTemporary,
      sets: this.#sets,
      configures,
      executes: this.#executes,
      callsCode: this.#callsCode,
    }
  }
}

/** With what follows it after a dot: those of extensions have one in their names. */
function settingName(word: string, { sql, end }: SqlLexer): string {
  return sql[end] === '.' ? `${word}.` : word
}

/** Whether this is the name of a setting that does not matter, written plainly. */
function isHarmlessLiteral({ kind, start, end, sql }: SqlLexer): boolean {
  if (kind !== 'value' || sql[start] !== "'" || end - start > longestWord + 2) return false
  const name = sql.slice(start + 1, end - 1)
  return !(name.includes("'") || name.includes('\\') || settingMatters(name))
}

/**
 * What a statement has done to the meaning of others, by the server's word for it and by its text. What a function does
 * that it calls shows in neither.
 *
 * @param tag such as `CREATE TABLE`, `SET`, `SELECT 1`
 * @param meaning undefined where the text is not known
 */
export function effectOf(tag: string, meaning: TextMeaning | undefined): Effect {
  const at = tag.indexOf(' ')
  switch (at === -1 ? tag : tag.slice(0, at)) {
    case 'SET':
    case 'RESET':
      return meaning === undefined ? 'session' : meaning.sets
    case 'CREATE':
      return meaning?.makesTemporary === true ? 'session' : 'pool'
    // What code of the database does shows nowhere; it may make and commit anything.
    case 'CALL':
    case 'DO':
    case 'ALTER':
    case 'DROP':
    case 'IMPORT':
    case 'GRANT':
    case 'REVOKE':
    case 'REASSIGN':
      return 'pool'
    case 'DISCARD':
    case 'LOAD':
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
      return effectOfRows(meaning)
    default:
      return 'none'
  }
}

/** CREATE TABLE AS and SELECT INTO are reported as SELECT; EXECUTE as what it executes; EXPLAIN may run what it explains. */
function effectOfRows(meaning: TextMeaning | undefined): Effect {
  if (meaning === undefined) return 'session'
  if (meaning.isAboutRows) return 'none'
  if (meaning.makes !== 'none') return meaning.makes
  return meaning.executes ? 'session' : meaning.configures
}

/** The effect of a statement that failed: CALL and DO may have committed something by then. */
export function effectOfFailed(meaning: TextMeaning): Effect {
  return meaning.callsCode ? 'pool' : 'none'
}

const special = /(?<![a-z])(?:now|today|tomorrow|yesterday|allballs)(?![a-z])/i
/** Parts of a string on several lines. */
const inParts = /'[ \t\f\v]*(?:--[^\n\r]*)?[\n\r]/
const byCodes = /u&'/i
const escapes = /\\(?:[0-7]{1,3}|x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[\s\S])/g
const control: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }

/**
 * Whether a literal of an SQL text may be a date or a time that depends on when it is read, such as 'now' or 'tomorrow 12:00'.
 * The server reads a literal when it prepares the statement. A string in parts, or by codes of Unicode, counts as one.
 */
export function mayHoldMoment(text: string): boolean {
  if (!(text.includes("'") || text.includes('$'))) return false
  // Most texts have nothing of the kind, in a literal or anywhere else.
  if (!(special.test(text) || text.includes('\\') || byCodes.test(text) || inParts.test(text))) return false
  const lexer = new SqlLexer(text)
  if (holdsMoment(lexer)) return true
  return lexer.hasBackslash && holdsMoment(new SqlLexer(text, true))
}

function holdsMoment(lexer: SqlLexer): boolean {
  while (lexer.next()) {
    if (lexer.kind === 'value' && mayBeMoment(lexer.text)) return true
  }
  return false
}

/** A string as it is written. In a plain one a setting decides whether escapes count. */
function mayBeMoment(literal: string): boolean {
  const first = literal.charCodeAt(0)
  if ((first | 0x20) === 0x75) return true
  const hasEscapes = first !== dollar && literal.includes('\\')
  if (hasEscapes && special.test(literal.replace(escapes, unescaped))) return true
  // The `e` ahead of a string is no part of it, nor are its escapes as they are written.
  if (!(hasEscapes && (first | 0x20) === letterE) && special.test(literal)) return true
  return first !== dollar && inParts.test(literal)
}

const dollar = 0x24
const letterE = 0x65

/** What an escape stands for. */
function unescaped(written: string): string {
  const said = written.slice(1)
  // Of three octal digits the server keeps eight bits.
  if (/^[0-7]/.test(said)) return String.fromCharCode(Number.parseInt(said, 8) & 0xff)
  if (said.length === 1) return control[said] ?? said
  return String.fromCodePoint(Math.min(Number.parseInt(said.slice(1), 16), 0x10_ffff))
}

/** The server cuts names off at so many bytes. */
const mostNameBytes = 63

/**
 * The names that the DEALLOCATE statements of an SQL text free, in their order, DEALLOCATE ALL left out: the server has another
 * word for that. Undefined where it is not certain how the server reads them.
 */
export function deallocatedNames(text: string): readonly string[] | undefined {
  const lexer = new SqlLexer(text)
  const names: string[] = []
  let isAtBeginning = true
  while (lexer.next()) {
    if (lexer.isMark(';')) isAtBeginning = true
    else if (isAtBeginning && isWord(lexer, 'deallocate')) {
      isAtBeginning = false
      let hasMore = lexer.next()
      let word = hasMore && !lexer.isMark(';') ? nameOf(lexer) : undefined
      if (hasMore && isWord(lexer, 'prepare')) {
        // It may be the name itself.
        hasMore = lexer.next()
        if (hasMore && !lexer.isMark(';')) word = nameOf(lexer)
      }
      if (word === undefined) return undefined
      if (!(hasMore && isWord(lexer, 'all'))) names.push(word)
      if (hasMore && lexer.isMark(';')) isAtBeginning = true
    } else isAtBeginning = false
  }
  return lexer.isCertain ? names : undefined
}

function isWord(lexer: SqlLexer, word: string): boolean {
  return lexer.kind === 'word' && lexer.text === word
}

function nameOf(lexer: SqlLexer): string | undefined {
  const { kind, text } = lexer
  if (kind !== 'word' && kind !== 'name') return undefined
  // With an encoding of one byte for a character the server puts more into small letters than those of ASCII.
  if (kind === 'word' && !/^[\0-\x7f]*$/.test(text)) return undefined
  return cutOff(text)
}

function cutOff(name: string): string {
  if (Buffer.byteLength(name) <= mostNameBytes) return name
  const bytes = Buffer.from(name)
  let end = mostNameBytes
  // Not within a character.
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1
  return bytes.toString('utf8', 0, end)
}
