import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { createPool, type Pool, type PoolOptions } from '@pg-lifeguard/core'
import { type FaultProxy, type ServerSession, sessionsOf, startFaultProxy } from '@pg-lifeguard/testing'
import type { Case, CaseContext, Database, Opened, ReplicatedDatabase } from './case.js'
import { until } from './expectations.js'
import type { Handle, Subject } from './subject.js'

/** What all cases of a run share. */
export interface Environment {
  readonly database: Database
  readonly admin: Pool
  /** Started when the first case asks for it. */
  cluster(): Promise<ReplicatedDatabase>
}

/**
 * Runs one case: on empty tables, with a pool under an application name that nobody else has. Behind the case, whether
 * it failed or not, everything is closed; nothing of its pools may be in use before that, and no session on any server
 * may be left after it.
 *
 * @throws what the case throws; or what was left
 */
export async function runCase(environment: Environment, subject: Subject, { run }: Case): Promise<void> {
  const scene = new Scene(environment)
  const outcome = await settled(async () => {
    await scene.clear()
    await run(await scene.context(subject))
  })
  const ending = await settled(() => scene.end(outcome === undefined))
  const failure = outcome ?? ending
  if (failure !== undefined) throw failure.error
}

/** Runs work on one pool that several ORMs are on, by their names; with the same care as {@link runCase}. */
export async function runTogether(
  environment: Environment,
  subjects: readonly Subject[],
  run: (context: CaseContext, handles: ReadonlyMap<string, Handle>) => Promise<void>,
): Promise<void> {
  const [first, ...others] = subjects
  if (first === undefined) throw new Error('bug: no subjects')
  await runCase(environment, first, {
    name: 'together',
    run: async (context) => {
      const handles = new Map([[first.name, context.handle]])
      try {
        for (const subject of others) handles.set(subject.name, await subject.open(context.pool))
        await run(context, handles)
      } finally {
        for (const { name } of others) await handles.get(name)?.close()
      }
    },
  })
}

async function settled(fn: () => Promise<void>): Promise<{ readonly error: unknown } | undefined> {
  try {
    await fn()
    return undefined
  } catch (error) {
    return { error }
  }
}

/** Everything that one case opens. */
class Scene {
  readonly #environment: Environment
  readonly #applicationName = `conformance ${randomUUID().slice(0, 13)}`
  readonly #opened: Opened[] = []
  readonly #proxies: FaultProxy[] = []
  #replicated: ReplicatedDatabase | undefined

  constructor(environment: Environment) {
    this.#environment = environment
  }

  async clear(): Promise<void> {
    await this.#environment.admin.query('truncate item, part, sample')
  }

  async context(subject: Subject): Promise<CaseContext> {
    const { database, admin } = this.#environment
    const openPool = (options: PoolOptions = {}): Promise<Opened> => this.#open(subject, options)
    return {
      ...(await openPool()),
      database,
      admin,
      openPool,
      openProxy: async () => {
        const proxy = await startFaultProxy({ target: database.url })
        this.#proxies.push(proxy)
        return proxy
      },
      openCluster: async () => {
        this.#replicated = await this.#environment.cluster()
        return this.#replicated
      },
      sessions: () => this.#sessions(),
      kill: async (pid) => {
        await admin.query('select pg_terminate_backend($1)', [pid])
      },
    }
  }

  async #open(subject: Subject, options: PoolOptions): Promise<Opened> {
    const pool = createPool({
      connectionString: this.#environment.database.url,
      max: 4,
      // A busy machine is no reason to fail; what is to run into a limit brings its own.
      acquireTimeoutMs: 20_000,
      ...options,
      applicationName: this.#applicationName,
    })
    const opened = { pool, handle: await subject.open(pool) }
    this.#opened.push(opened)
    return opened
  }

  async #sessions(): Promise<readonly ServerSession[]> {
    const { rows } = await this.#environment.admin.query<ServerSession>(
      `select pid, datname as database, application_name as "applicationName", state, query
         from pg_stat_activity
        where application_name = $1 and backend_type = 'client backend'
        order by pid`,
      [this.#applicationName],
    )
    if (this.#replicated === undefined) return rows
    const { url, replicaUrl } = this.#replicated
    const elsewhere = [url, replicaUrl].map((url) => sessionsOf({ url }, { applicationName: this.#applicationName }))
    return [...rows, ...(await Promise.all(elsewhere)).flat()]
  }

  async end(mustBeQuiet: boolean): Promise<void> {
    const quiet = mustBeQuiet ? await settled(() => this.#untilNothingIsInUse()) : undefined
    for (const { handle, pool } of this.#opened) {
      await handle.close()
      await pool.end({ timeoutMs: 5_000 })
    }
    for (const proxy of this.#proxies) await proxy.stop()
    let left: readonly ServerSession[] = []
    const noneIsLeft = async (): Promise<boolean> => {
      left = await this.#sessions()
      return left.length === 0
    }
    const gone = await settled(() => until(noneIsLeft, 'the last session to end', 5_000))
    if (quiet !== undefined) throw quiet.error
    if (gone !== undefined) {
      assert.fail(`sessions were left: ${left.map(({ pid, state, query }) => `${pid} ${state} ${query}`).join('; ')}`)
    }
  }

  /** What was given up is tidied up after its caller has gone on, so that it may take a moment. */
  async #untilNothingIsInUse(): Promise<void> {
    for (const { pool } of this.#opened) {
      await until(
        () => pool.stats().pool.active === 0 && pool.stats().waits.waiting === 0,
        'all connections to be given back',
      )
    }
  }
}
