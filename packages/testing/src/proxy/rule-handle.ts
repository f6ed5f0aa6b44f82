import { FaultProxyError } from './fault-proxy-error.js'
import type { RuleFired } from './protocol.js'
import type { ProxyProcess } from './proxy-process.js'

/**
 * A rule in force.
 *
 * @example
 * ```ts
 * import { type FaultProxy, type RuleHandle } from '@pg-lifeguard/testing'
 *
 * async function cutCommit(proxy: FaultProxy): Promise<RuleHandle> {
 *   return proxy.rule({ statement: 'COMMIT', when: 'after', action: 'cut' })
 * }
 * ```
 */
export interface RuleHandle {
  /**
   * Resolves when the rule has fired for the first time. Rejects with FAULT_PROXY_RULE_REMOVED, FAULT_PROXY_STOPPED or
   * FAULT_PROXY_EXITED if that comes first, and with FAULT_PROXY_ENCRYPTED when a connection that it watches turns out
   * to be encrypted. It may be left without a handler.
   */
  readonly fired: Promise<RuleFired>
  /** How often it has fired so far. */
  count(): Promise<number>
  /** Takes it out of force; what it has stalled stays stalled. */
  remove(): Promise<void>
}

/** The parent's record of a rule. */
export class LiveRule implements RuleHandle {
  readonly ruleId: number
  readonly #process: ProxyProcess
  readonly #fired = Promise.withResolvers<RuleFired>()

  constructor(ruleId: number, process: ProxyProcess) {
    this.ruleId = ruleId
    this.#process = process
    // Not everyone who adds a rule waits for it: a rejection that nobody asked for must not end their process.
    this.#fired.promise.catch(() => undefined)
  }

  get fired(): Promise<RuleFired> {
    return this.#fired.promise
  }

  count(): Promise<number> {
    return this.#process.call('countRule', { ruleId: this.ruleId })
  }

  async remove(): Promise<void> {
    await this.#process.call('removeRule', { ruleId: this.ruleId })
    this.fail(new FaultProxyError('FAULT_PROXY_RULE_REMOVED', 'the rule was removed before it fired'))
  }

  /** It fired. */
  succeed(firing: RuleFired): void {
    this.#fired.resolve(firing)
  }

  /** It will not fire any more. */
  fail(error: FaultProxyError): void {
    this.#fired.reject(error)
  }
}
