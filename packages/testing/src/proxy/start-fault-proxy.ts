import { FaultProxy, tellRule } from './fault-proxy.js'
import { checkInteger, checkShape, type FaultProxyOptions, parseDatabaseUrl, targetAddress } from './options.js'
import { ProxyProcess } from './proxy-process.js'
import type { LiveRule } from './rule-handle.js'

/**
 * Starts a TCP proxy in front of a PostgreSQL server: it delays, cuts, stalls, refuses, and does so at the very message
 * that is asked for. It runs in a process of its own, so that its work does not disturb the process that is measured;
 * that process ends with its parent, however the parent ends, and does not keep it alive.
 *
 * @throws FaultProxyError FAULT_PROXY_INVALID_OPTION, FAULT_PROXY_LISTEN_FAILED (the port is taken), FAULT_PROXY_EXITED;
 * the signal's reason when it was aborted first.
 *
 * @example
 * ```ts
 * import { startFaultProxy } from '@pg-lifeguard/testing'
 *
 * await using proxy = await startFaultProxy({
 *   target: 'postgresql://app:secret@localhost:5432/app',
 *   roundTripMs: 2,
 * })
 * console.log(proxy.url) // connect your pool to this
 * ```
 */
export async function startFaultProxy(options: FaultProxyOptions): Promise<FaultProxy> {
  const { target, port = 0, seed = 1, signal } = options
  const shape = { roundTripMs: 0, jitterMs: 0, bandwidthBytesPerSecond: Infinity, ...checkShape(options) }
  const input = {
    target: targetAddress(target),
    shape,
    seed: checkInteger('seed', seed, 0, 0xffffffff),
    port: checkInteger('port', port, 0, 65_535),
  }
  signal?.throwIfAborted()

  const rules = new Map<number, LiveRule>()
  const process = new ProxyProcess(
    (news) => tellRule(rules, news),
    (error) => {
      signal?.removeEventListener('abort', abort)
      for (const rule of rules.values()) rule.fail(error)
    },
  )
  const abort = (): void => {
    void process.stop()
  }
  signal?.addEventListener('abort', abort)
  try {
    const listening = await process.call('start', input)
    const targetUrl = typeof target === 'string' ? parseDatabaseUrl('target', target) : undefined
    return new FaultProxy(process, rules, listening, targetUrl)
  } catch (error) {
    await process.stop()
    signal?.throwIfAborted()
    throw error
  }
}
