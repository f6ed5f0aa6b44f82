import { type ConnectionIdentity, matchesConnection } from './connection-filter.js'
import { codeCount, type Direction, messageCode, ToServer } from './messages.js'
import { type FaultRule, matchesText, type RuleAction } from './rule.js'

/** A boundary in the stream that rules may care about. */
export interface Boundary {
  readonly direction: Direction
  readonly code: number
  readonly when: 'before' | 'after'
  readonly connection: ConnectionIdentity
  /** What message rules compare `text` with. */
  readonly text: string | undefined
  /** What statement rules compare with: the statements that begin or are complete here. */
  readonly statements: Iterable<string>
}

/** A rule that fired. */
export interface FiredRule {
  readonly ruleId: number
  readonly action: RuleAction
}

interface Entry {
  readonly rule: FaultRule
  matches: number
  fired: number
}

/** The rules that hold, and how often each has fired. Knows no socket and no clock. */
export class RuleBook {
  /** All there ever were, for their counts. */
  readonly #entries = new Map<number, Entry>()
  /** Those that may still fire. */
  readonly #active = new Map<number, Entry>()
  readonly #watched: Readonly<Record<Direction, Uint8Array>> = {
    'to-server': new Uint8Array(codeCount),
    'to-client': new Uint8Array(codeCount),
  }

  /** Puts a rule in force. */
  add(ruleId: number, rule: FaultRule): void {
    const entry = { rule, matches: 0, fired: 0 }
    this.#entries.set(ruleId, entry)
    this.#active.set(ruleId, entry)
    this.#watchAgain()
  }

  /** Takes a rule out. How often it fired can still be asked. */
  remove(ruleId: number): void {
    this.#active.delete(ruleId)
    this.#watchAgain()
  }

  /** How often a rule has fired. */
  fired(ruleId: number): number {
    return this.#entries.get(ruleId)?.fired ?? 0
  }

  /** The cheap question of the fast path: can any rule fire at this message? */
  watches(direction: Direction, code: number): boolean {
    return this.#watched[direction][code] === 1
  }

  /** The rules in force that need to see inside the connection and so can never fire on it once it is encrypted. */
  blindOn(connection: ConnectionIdentity): number[] {
    const blind: number[] = []
    for (const [ruleId, entry] of this.#active) {
      if (!seesInside(entry.rule) || !matchesConnection(entry.rule.connections, connection)) continue
      blind.push(ruleId)
    }
    return blind
  }

  /** The rules that fire here; each is counted. */
  fire(boundary: Boundary): FiredRule[] {
    const fired: FiredRule[] = []
    const active = this.#active.size
    for (const [ruleId, entry] of this.#active) {
      if (!fits(entry.rule, boundary)) continue
      if (entry.matches++ < (entry.rule.skip ?? 0)) continue
      entry.fired++
      if (entry.fired >= (entry.rule.count ?? 1)) this.#active.delete(ruleId)
      fired.push({ ruleId, action: entry.rule.action })
    }
    if (this.#active.size < active) this.#watchAgain()
    return fired
  }

  #watchAgain(): void {
    this.#watched['to-server'].fill(0)
    this.#watched['to-client'].fill(0)
    for (const { rule } of this.#active.values()) {
      if ('statement' in rule) {
        for (const code of statementCodes[rule.when]) this.#watched['to-server'][code] = 1
      } else {
        this.#watched[rule.direction][codeOf(rule)] = 1
      }
    }
  }
}

/** Where statement rules look: see StatementRule. */
const statementCodes = {
  before: [ToServer.Query, ToServer.Execute],
  after: [ToServer.Query, ToServer.Sync],
}

/** True when the rule needs messages that TLS hides. */
export function seesInside(rule: FaultRule): boolean {
  if ('statement' in rule) return true
  return rule.message !== 'SSLRequest' && rule.message !== 'GSSENCRequest' && rule.message !== 'EncryptionAnswer'
}

/** The one action to take where several rules fire at once: the most drastic, and the longest delay. */
export function strongestAction(fired: readonly FiredRule[]): RuleAction | undefined {
  const severity = (action: RuleAction): number =>
    typeof action === 'object' ? action.delayMs : { stall: 1e9, fin: 2e9, cut: 3e9 }[action]
  return fired.map((rule) => rule.action).sort((a, b) => severity(b) - severity(a))[0]
}

function codeOf(rule: Exclude<FaultRule, { statement: unknown }>): number {
  const code = messageCode(rule.direction, rule.message)
  if (code === undefined) throw new Error(`bug: rule on unknown message ${rule.message} was not refused`)
  return code
}

function fits(rule: FaultRule, boundary: Boundary): boolean {
  if (rule.when !== boundary.when || !matchesConnection(rule.connections, boundary.connection)) return false
  if ('statement' in rule) {
    if (boundary.direction !== 'to-server' || !statementCodes[rule.when].includes(boundary.code)) return false
    for (const text of boundary.statements) if (matchesText(rule.statement, text)) return true
    return false
  }
  if (rule.direction !== boundary.direction || codeOf(rule) !== boundary.code) return false
  return rule.text === undefined || (boundary.text !== undefined && matchesText(rule.text, boundary.text))
}
