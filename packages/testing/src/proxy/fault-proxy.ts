import { type ConnectionFilter, checkConnectionFilter } from './connection-filter.js'
import { encryptedRuleError, invalidOption } from './fault-proxy-error.js'
import type { Direction } from './messages.js'
import { checkShape, type FaultProxyShape, parseDatabaseUrl, withAddress } from './options.js'
import type { ProxyNews, ProxyProcess } from './proxy-process.js'
import { checkRule, type FaultRule } from './rule.js'
import { LiveRule, type RuleHandle } from './rule-handle.js'
import type { FaultProxyConnection, FaultProxyStats } from './stats.js'

/** How and whom to cut. */
export interface CutOptions {
  /** `'rst'`: a TCP reset; `'fin'`: an orderly end. @default 'rst' */
  readonly how?: 'rst' | 'fin'
  /** @default 'all' */
  readonly connections?: ConnectionFilter
}

/** Which bytes to stall or to let flow again. */
export interface StallOptions {
  /** @default 'both' */
  readonly direction?: 'both' | Direction
  /** `'all'` holds for connections to come as well; everything else only for those that are open. @default 'all' */
  readonly connections?: ConnectionFilter
}

/**
 * A TCP proxy in front of one PostgreSQL server, in a process of its own. What a method asks for is in force when its
 * promise resolves. After `stop()` they reject with FAULT_PROXY_STOPPED, and with FAULT_PROXY_EXITED if the process
 * ended by itself.
 *
 * @example
 * ```ts
 * import { startFaultProxy } from '@pg-lifeguard/testing'
 *
 * await using proxy = await startFaultProxy({ target: 'postgresql://app:secret@localhost:5432/app' })
 * await proxy.stall()
 * await proxy.resume()
 * await proxy.cut()
 * ```
 */
export class FaultProxy implements AsyncDisposable {
  /** Always `127.0.0.1`. */
  readonly host = '127.0.0.1'
  readonly port: number
  /** The target's URL with the proxy's address: same user, password, database and parameters. */
  readonly url: string
  readonly #process: ProxyProcess
  readonly #rules: Map<number, LiveRule>
  #lastRuleId = 0

  /** Made by startFaultProxy. */
  constructor(process: ProxyProcess, rules: Map<number, LiveRule>, port: number, targetUrl: URL | undefined) {
    this.#process = process
    this.#rules = rules
    this.port = port
    this.url = targetUrl === undefined ? `postgresql://${this.host}:${port}` : withAddress(targetUrl, this.host, port)
  }

  /** Any URL of the target, for another user or database say, with the proxy's address. */
  urlFor(databaseUrl: string): string {
    return withAddress(parseDatabaseUrl('databaseUrl', databaseUrl), this.host, this.port)
  }

  /** Changes delays and bandwidth for open and for new connections; what is left out stays. */
  async set(shape: FaultProxyShape): Promise<void> {
    await this.#process.call('set', checkShape(shape))
  }

  /**
   * Ends connections now, both sides, whatever is under way. Resolves with how many.
   * A server may or may not have read what it was sent just before; a rule with action `'cut'` leaves no doubt.
   */
  async cut(options: CutOptions = {}): Promise<number> {
    const { how = 'rst', connections = 'all' } = options
    if (how !== 'rst' && how !== 'fin') throw invalidOption('how', how, "'rst', 'fin'")
    checkConnectionFilter('connections', connections)
    return this.#process.call('cut', { how, connections })
  }

  /**
   * Bytes stop flowing, nothing is closed and nothing is lost: a partition. New connections are accepted and get
   * nothing. An end or a reset of the client is not noticed either until `resume()`.
   */
  async stall(options: StallOptions = {}): Promise<void> {
    await this.#process.call('stall', stallScope(options))
  }

  /** Bytes flow on, those of connections stalled by a rule too. */
  async resume(options: StallOptions = {}): Promise<void> {
    await this.#process.call('resume', stallScope(options))
  }

  /** Stops listening: connects fail with ECONNREFUSED. Open connections go on. */
  async refuse(): Promise<void> {
    await this.#process.call('refuse', undefined)
  }

  /** Listens again on the same port. Rejects with FAULT_PROXY_LISTEN_FAILED if another program has taken it. */
  async accept(): Promise<void> {
    await this.#process.call('accept', undefined)
  }

  /**
   * Does something at a message or at a statement; see FaultRule for what can be said.
   * Rejects with FAULT_PROXY_ENCRYPTED while a connection that it would watch is encrypted.
   *
   * @example
   * ```ts
   * import { startFaultProxy } from '@pg-lifeguard/testing'
   *
   * await using proxy = await startFaultProxy({ target: 'postgresql://localhost:5432/app' })
   * // The server commits, the client never learns:
   * const lost = await proxy.rule({ statement: 'COMMIT', when: 'after', action: 'cut' })
   * // It never reaches the server:
   * const unsent = await proxy.rule({ statement: 'COMMIT', when: 'before', action: 'cut' })
   * // The server has committed and said so; the answer hangs:
   * const hung = await proxy.rule({
   *   direction: 'to-client', message: 'CommandComplete', text: 'COMMIT', when: 'before', action: 'stall',
   * })
   * ```
   */
  async rule(rule: FaultRule): Promise<RuleHandle> {
    checkRule(rule)
    const live = new LiveRule(++this.#lastRuleId, this.#process)
    this.#rules.set(live.ruleId, live)
    try {
      await this.#process.call('addRule', { ruleId: live.ruleId, rule })
    } catch (error) {
      this.#rules.delete(live.ruleId)
      throw error
    }
    return live
  }

  /** What has gone through so far. */
  stats(): Promise<FaultProxyStats> {
    return this.#process.call('stats', undefined)
  }

  /** The connections that are open, oldest first. */
  connections(): Promise<readonly FaultProxyConnection[]> {
    return this.#process.call('connections', undefined)
  }

  /** Ends the process and with it the port and every connection. May be called again. */
  stop(): Promise<void> {
    return this.#process.stop()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}

/** Hands what the process reports to the rule it is about. */
export function tellRule(rules: ReadonlyMap<number, LiveRule>, news: ProxyNews): void {
  const rule = rules.get(news.ruleId)
  if (news.kind === 'fired') rule?.succeed(news.firing)
  else rule?.fail(encryptedRuleError(news.connectionId))
}

function stallScope(options: StallOptions) {
  const { direction = 'both', connections = 'all' } = options
  if (!['both', 'to-server', 'to-client'].includes(direction)) {
    throw invalidOption('direction', direction, "'both', 'to-server', 'to-client'")
  }
  checkConnectionFilter('connections', connections)
  return { direction, connections }
}
