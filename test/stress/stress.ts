import { createPool, type Pool, type PooledConnection } from '@pg-lifeguard/core'
import pg from 'pg'
import { randomFrom } from '../support/random.js'
import { until } from '../support/until.js'
import { LoopDelay } from './loop-delay.js'
import { draw, mostConnections, type Operation } from './operation.js'

const applicationName = 'stress'
const acquireTimeoutMs = 1_000
/** Operations under way at the same time. */
const concurrency = 40
/** Connections held by `acquire` at the same time, over several operations. */
const mostHeld = 3
/** A caller gets the error that it is too late within this time. */
export const lateMs = 50

/** How a run went. */
export interface Report {
  readonly seed: number
  readonly operations: number
  readonly seconds: number
  readonly kinds: Readonly<Record<string, number>>
  /** What became of them, by the code of the error. */
  readonly outcomes: Readonly<Record<string, number>>
  /** Looks at pg_stat_activity, and the most sessions seen. */
  readonly looks: number
  readonly mostSessions: number
  /** Callers with a deadline, and the most by which one was answered after it: as measured, and without the loop's delay. */
  readonly deadlines: number
  readonly mostLateMs: number
  readonly mostLateNetMs: number
  readonly mostLoopDelayMs: number
  /** What is wrong; nothing when every promise was kept. */
  readonly violations: readonly string[]
}

/** What may happen to a call while sessions are killed and callers give up; anything else is a bug. */
const expected =
  /^(LIFEGUARD_(ACQUIRE_TIMEOUT|OVERLOADED|TIMEOUT|ABORTED|CONNECTION_LOST|CONNECTION_RELEASED|TRANSACTION_CLOSED|COMMIT_UNKNOWN|SERVER_UNAVAILABLE)|57P01|thrown)$/

/** Random operations on a pool and a real server; the seed gives the same sequence of them. */
export async function runStress(options: {
  readonly url: string
  readonly seed: number
  readonly operations: number
  readonly onProgress?: (done: number) => void
}): Promise<Report> {
  const { url, seed, operations } = options
  const run = new Run(url)
  await run.start()
  const began = performance.now()
  try {
    const random = randomFrom(seed)
    for (let done = 0; done < operations; done++) {
      await run.begin(draw(random))
      if (done % 1_000 === 0) options.onProgress?.(done)
    }
    await run.finish()
  } finally {
    await run.stop()
  }
  return { ...run.report, seed, operations, seconds: (performance.now() - began) / 1_000 }
}

class Run {
  readonly #pool: Pool
  readonly #admin: pg.Pool
  readonly #watcher: pg.Client
  readonly #loop = new LoopDelay()
  readonly #underWay = new Set<Promise<void>>()
  readonly #held: PooledConnection[] = []
  readonly #violations: string[] = []
  readonly #kinds = new Map<string, number>()
  readonly #outcomes = new Map<string, number>()
  #asked = 0
  #looks = 0
  #mostSessions = 0
  #deadlines = 0
  #mostLateMs = 0
  #mostLateNetMs = 0
  #isOver = false
  #watching: Promise<void> | undefined
  #pausing: Promise<unknown> | undefined

  constructor(url: string) {
    this.#admin = new pg.Pool({ connectionString: url, max: 2 })
    this.#watcher = new pg.Client(url)
    this.#pool = createPool({ connectionString: url, applicationName, max: mostConnections, acquireTimeoutMs, min: 1 })
  }

  get report() {
    return {
      kinds: Object.fromEntries(this.#kinds),
      outcomes: Object.fromEntries(this.#outcomes),
      looks: this.#looks,
      mostSessions: this.#mostSessions,
      deadlines: this.#deadlines,
      mostLateMs: this.#mostLateMs,
      mostLateNetMs: this.#mostLateNetMs,
      mostLoopDelayMs: this.#loop.mostMs,
      violations: this.#violations,
    }
  }

  async start(): Promise<void> {
    await this.#watcher.connect()
    process.on('unhandledRejection', this.#onUnhandled)
    this.#loop.start()
    this.#watching = this.#watch()
  }

  /** Begins an operation; settles when there is room for the next. */
  async begin(operation: Operation): Promise<void> {
    count(this.#kinds, operation.do)
    const work = this.#do(operation).then(
      () => count(this.#outcomes, 'done'),
      (error: unknown) => this.#judge(operation, error),
    )
    this.#underWay.add(work)
    void work.then(() => this.#underWay.delete(work))
    while (this.#underWay.size >= concurrency) await Promise.race(this.#underWay)
    // Whoever runs without waiting gives way too, so that operations are spread over time.
    await new Promise((resolve) => setImmediate(resolve))
  }

  /** Everything settles, and nothing is left over. */
  async finish(): Promise<void> {
    this.#pool.resume()
    for (const connection of this.#held.splice(0)) connection.release()
    await until('every operation is settled', () => this.#underWay.size === 0, 20_000).catch(() => {
      this.#violations.push(`${this.#underWay.size} operations were never settled`)
    })
    for (const connection of this.#held.splice(0)) connection.release()
    await until('all connections are back', () => this.#isStill(), 10_000).catch(() => {
      this.#violations.push(`${this.#pool.stats().pool.active} connections never came back`)
    })
    const {
      pool: { connecting, acquired, released },
      waits: { waiting },
    } = this.#pool.stats()
    if (waiting + connecting !== 0) this.#violations.push(`${waiting} wait and ${connecting} connect at the end`)
    if (acquired !== released) this.#violations.push(`${acquired} were acquired, ${released} released`)
    await this.#pool.end()
    const { total, opened, closed } = this.#pool.stats().pool
    if (total !== 0 || opened !== closed) this.#violations.push(`${total} are left; ${opened} opened, ${closed} closed`)
    const left = await this.#sessions(this.#admin)
    if (left.length > 0) this.#violations.push(`${left.length} sessions are left on the server`)
  }

  async stop(): Promise<void> {
    this.#isOver = true
    this.#loop.stop()
    await this.#watching
    await this.#pool.end({ mode: 'fast' })
    await Promise.all([this.#admin.end(), this.#watcher.end()])
    process.off('unhandledRejection', this.#onUnhandled)
  }

  #isStill(): boolean {
    const { active, connecting } = this.#pool.stats().pool
    return active + connecting === 0
  }

  async #do(operation: Operation): Promise<void> {
    const pool = this.#pool
    switch (operation.do) {
      case 'query':
      case 'timeout': {
        const { sleepMs, timeoutMs } = operation
        await this.#inTime(timeoutMs, this.#ask(sleepMs, timeoutMs === undefined ? {} : { timeoutMs }))
        return
      }
      case 'abort': {
        const abort = new AbortController()
        const timer = setTimeout(() => abort.abort(), operation.afterMs)
        await this.#ask(operation.sleepMs, { signal: abort.signal }).finally(() => clearTimeout(timer))
        return
      }
      case 'acquire': {
        const { timeoutMs } = operation
        const acquiring = pool.acquire(timeoutMs === undefined ? {} : { timeoutMs })
        this.#held.push(await this.#inTime(Math.min(timeoutMs ?? acquireTimeoutMs, acquireTimeoutMs), acquiring))
        if (this.#held.length > mostHeld) this.#held.shift()?.release()
        return
      }
      case 'release': {
        const [connection] = this.#held.splice(operation.pick % Math.max(1, this.#held.length), 1)
        if (connection !== undefined) await giveBack(connection, operation.as)
        return
      }
      case 'transaction': {
        const { sleepMs, ends } = operation
        await pool.withTransaction(
          async (tx) => {
            await tx.query('select pg_sleep($1)', [sleepMs / 1_000])
            if (ends === 'thrown') throw new Thrown()
            await this.#ask(0, {})
          },
          ends === 'timeout' ? { timeoutMs: sleepMs } : {},
        )
        return
      }
      case 'kill': {
        const sessions = await this.#sessions(this.#admin)
        const pid = sessions[operation.pick % Math.max(1, sessions.length)]
        if (pid !== undefined) await this.#admin.query('select pg_terminate_backend($1)', [pid])
        return
      }
      case 'flush':
        await pool.evict(operation.mode, { timeoutMs: 2_000 })
        return
      case 'pause': {
        // One at a time: a pause that another one resumes would only be cut short.
        await this.#pausing
        this.#pausing = pool.pause({ timeoutMs: operation.forMs }).catch((error: unknown) => {
          this.#judge(operation, error)
        })
        await new Promise((resolve) => setTimeout(resolve, operation.forMs))
        await this.#pausing
        pool.resume()
        return
      }
      case 'resize':
        pool.resize({ max: operation.max, min: operation.min })
        return
    }
  }

  /** A statement whose answer shows whether it is the right one. */
  async #ask(sleepMs: number, options: { readonly timeoutMs?: number; readonly signal?: AbortSignal }): Promise<void> {
    this.#asked += 1
    const asked = this.#asked
    const text = sleepMs === 0 ? 'select $1::int as asked' : 'select $1::int as asked, pg_sleep($2)'
    const values = sleepMs === 0 ? [asked] : [asked, sleepMs / 1_000]
    const { rows } = await this.#pool.query<{ asked: number }>(text, values, options)
    if (rows[0]?.asked !== asked) this.#violations.push(`asked ${asked}, answered ${JSON.stringify(rows)}`)
  }

  async #inTime<T>(timeoutMs: number | undefined, promise: Promise<T>): Promise<T> {
    const deadlineAt = performance.now() + (timeoutMs ?? Number.POSITIVE_INFINITY)
    try {
      return await promise
    } finally {
      if (timeoutMs !== undefined) {
        this.#deadlines += 1
        const late = performance.now() - deadlineAt
        const net = late - this.#loop.since(deadlineAt)
        this.#mostLateMs = Math.max(this.#mostLateMs, late)
        this.#mostLateNetMs = Math.max(this.#mostLateNetMs, net)
        if (net > lateMs) this.#violations.push(`a caller was answered ${Math.round(net)} ms after its deadline`)
      }
    }
  }

  #judge(operation: Operation, error: unknown): void {
    const { code, name = '' } = error as { readonly code?: string; readonly name?: string }
    count(this.#outcomes, code ?? name)
    if (!expected.test(code ?? name)) this.#violations.push(`${operation.do}: ${String(error)} (${code})`)
  }

  async #watch(): Promise<void> {
    while (!this.#isOver) {
      const { length } = await this.#sessions(this.#watcher)
      this.#looks += 1
      this.#mostSessions = Math.max(this.#mostSessions, length)
      if (length > mostConnections) this.#violations.push(`${length} sessions on the server`)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }

  async #sessions(client: pg.Client | pg.Pool): Promise<readonly number[]> {
    const { rows } = await client.query<{ pid: number }>(
      'select pid from pg_stat_activity where application_name = $1 order by backend_start',
      [applicationName],
    )
    return rows.map(({ pid }) => pid)
  }

  readonly #onUnhandled = (error: unknown): void => {
    this.#violations.push(`nobody handled: ${String(error)}`)
  }
}

async function giveBack(
  connection: PooledConnection,
  as: 'clean' | 'open' | 'failed' | 'busy' | 'discarded',
): Promise<void> {
  try {
    if (as === 'open' || as === 'failed') await connection.query('begin')
    if (as === 'failed') await connection.query('select 1/0').catch(onlyDivision)
    if (as === 'busy') {
      const running = connection.query('select pg_sleep(0.02)')
      connection.release()
      await running
    }
  } finally {
    connection.release({ discard: as === 'discarded' })
  }
}

function onlyDivision(error: unknown): void {
  if ((error as { readonly code?: string }).code !== '22012') throw error
}

class Thrown extends Error {
  readonly code = 'thrown'
}

function count(counts: Map<string, number>, what: string): void {
  counts.set(what, (counts.get(what) ?? 0) + 1)
}
