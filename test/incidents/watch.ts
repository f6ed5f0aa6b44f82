import { setTimeout as sleep } from 'node:timers/promises'
import type { Pool, PoolEvents, PoolHealth, PoolStats } from '@pg-lifeguard/core'
import { listed } from '../outages/callers.js'

/** Events that an operator counts; those of each statement and checkout are left out. */
const counted = [
  'connect',
  'connect-failed',
  'slow-query',
  'shed',
  'turned-away',
  'timeout',
  'leak',
  'leak-returned',
  'error',
  'read-only',
  'breaker',
  'retry',
  'primary-lost',
  'failover',
] as const satisfies readonly (keyof PoolEvents)[]

/** One answer of `health()`. */
export interface Checked {
  /** When it was asked, on the clock of `performance.now()`. */
  readonly at: number
  readonly status: PoolHealth['status']
  /** Codes of what is wrong with its hosts. */
  readonly codes: readonly string[]
}

const sampleMs = 25
const sampled = ['waiting', 'longestWaitMs', 'longestHeldMs', 'active'] as const

/** What a pool says of itself while something goes wrong: its events, `stats()` and `health()`. */
export class Watch implements AsyncDisposable {
  readonly checks: Checked[] = []
  readonly #pool: Pool
  readonly #events: Record<string, number> = {}
  readonly #since = performance.now()
  readonly #worst: Record<(typeof sampled)[number], number> = {
    waiting: 0,
    longestWaitMs: 0,
    longestHeldMs: 0,
    active: 0,
  }
  readonly #stopped = new AbortController()
  readonly #running: Promise<unknown>

  /** @param healthEveryMs how often health is asked; not by itself when it is left out */
  constructor(pool: Pool, healthEveryMs?: number) {
    this.#pool = pool
    for (const name of counted) {
      pool.on(name, () => {
        this.#events[name] = (this.#events[name] ?? 0) + 1
      })
    }
    this.#running = Promise.all([
      this.#every(sampleMs, () => this.#sample(pool.stats())),
      healthEveryMs === undefined ? undefined : this.#every(healthEveryMs, () => this.check()),
    ])
  }

  /** Asks for the health of the pool, and writes the answer down. */
  async check(): Promise<Checked> {
    const at = performance.now()
    const { status, servers } = await this.#pool.health({ timeoutMs: 5_000 })
    const codes = servers.flatMap(({ error }) => (error === undefined ? [] : [codeOf(error)]))
    const checked: Checked = { at, status, codes }
    this.checks.push(checked)
    return checked
  }

  /** How often an event came. */
  count(name: (typeof counted)[number]): number {
    return this.#events[name] ?? 0
  }

  /** For the table. */
  figures(): Readonly<Record<string, string>> {
    const { waiting, longestWaitMs, longestHeldMs, active } = this.#worst
    const { refusals } = this.#pool.stats().waits
    const refused = Object.fromEntries(Object.entries(refusals).filter(([, n]) => n > 0))
    return {
      events: listed(this.#events),
      'stats(), at worst': `${active} in use, ${waiting} waiting, the longest for ${Math.round(longestWaitMs)} ms; held for ${Math.round(longestHeldMs)} ms`,
      'stats().waits.refusals': listed(refused),
      'health()': this.#courseOfHealth(),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort()
    await this.#running
  }

  async #every(ms: number, fn: () => unknown): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      await fn()
      await sleep(ms)
    }
  }

  #sample({ pool, waits }: PoolStats): void {
    const now = {
      waiting: waits.waiting,
      longestWaitMs: waits.longestMs,
      longestHeldMs: pool.longestHeldMs,
      active: pool.active,
    }
    for (const name of sampled) this.#worst[name] = Math.max(this.#worst[name], now[name])
  }

  /** `up from 0.0 s, down (ECONNREFUSED) from 1.2 s, up from 21.3 s`. */
  #courseOfHealth(): string {
    const said = this.checks.map(({ at, status, codes }) => ({
      what: codes.length === 0 ? status : `${status} (${[...new Set(codes)].join(', ')})`,
      at,
    }))
    return said
      .filter(({ what }, index) => what !== said[index - 1]?.what)
      .map(({ what, at }) => `${what} from ${((at - this.#since) / 1_000).toFixed(1)} s`)
      .join(', ')
  }
}

/** The code of an error, or of what caused it, the server's own first. */
export function codeOf(error: unknown): string {
  for (let one: unknown = error, depth = 0; one instanceof Error && depth < 10; one = one.cause, depth += 1) {
    const { code } = one as { readonly code?: unknown }
    if (typeof code === 'string' && !code.startsWith('LIFEGUARD_')) return code
  }
  const { code } = (error ?? {}) as { readonly code?: unknown }
  return typeof code === 'string' ? code : String(error)
}
