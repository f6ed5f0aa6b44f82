import { createPool, type Pool } from '@pg-lifeguard/core'
import {
  type Cluster,
  type FaultProxy,
  type ServerNode,
  startCluster,
  startFaultProxy,
  type TestDatabase,
} from '@pg-lifeguard/testing'
import pg from 'pg'
import { until } from '../support/until.js'
import type { Mode } from './cell.js'

/** The lock that COMMIT waits for, in a deferred trigger, while somebody holds it. */
export const commitLock = 4_711

/** Without a unique constraint: what is applied twice must be seen. */
const setup = `
  create table entry (operation text not null, step int not null);
  create table lifeguard_commit (id uuid primary key, at timestamptz not null default now());
  create table canary (at timestamptz not null default now());
  create function wait_at_commit() returns trigger language plpgsql as $$
    begin perform pg_advisory_xact_lock_shared(${commitLock}); return null; end $$;
  create constraint trigger wait_at_commit after insert on entry deferrable initially deferred
    for each row execute function wait_at_commit();`

/** A server, a proxy in front of it, and a pool for each mode that sees the proxy alone. */
export class Stage implements AsyncDisposable {
  readonly cluster: Cluster
  readonly #database: TestDatabase
  proxy: FaultProxy
  /** The server that takes writes. */
  primary: ServerNode
  readonly #pools = new Map<Mode, Pool>()

  private constructor(cluster: Cluster, database: TestDatabase, proxy: FaultProxy) {
    this.cluster = cluster
    this.primary = cluster.primary
    this.#database = database
    this.proxy = proxy
  }

  static async open(replicas: number): Promise<Stage> {
    const cluster = await startCluster({ replicas, handleSignals: true, settings: { max_connections: 400 } })
    try {
      const database = await cluster.createDatabase()
      const stage = new Stage(cluster, database, await startFaultProxy({ target: database.url }))
      await stage.ask(setup)
      return stage
    } catch (error) {
      await cluster.stop()
      throw error
    }
  }

  /** A statement on the server itself, past the proxy, on a connection of its own. */
  async ask<Row extends pg.QueryResultRow>(sql: string, values: readonly unknown[] = []): Promise<Row[]> {
    const client = await this.connect()
    try {
      return (await client.query<Row>(sql, values.length === 0 ? undefined : [...values])).rows
    } finally {
      await client.end()
    }
  }

  /** A client of the server itself. Its end by a fault is none of its caller's business. */
  async connect(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.#database.urlOn(this.primary), application_name: 'stage' })
    client.on('error', () => undefined)
    await client.connect()
    return client
  }

  /** The pool of a mode, with so many connections open. */
  async pool(mode: Mode, connections: number): Promise<Pool> {
    const pool = createPool({
      connectionString: this.proxy.url,
      applicationName: mode,
      max: connections,
      acquireTimeoutMs: 30_000,
    })
    this.#pools.set(mode, pool)
    const held = await Promise.all(Array.from({ length: connections }, () => pool.acquire()))
    for (const connection of held) connection.release()
    return pool
  }

  /** Backends of these modes. */
  async backends(modes: readonly Mode[], where = 'true'): Promise<number[]> {
    const sql = `select pid from pg_stat_activity where application_name = any ($1) and ${where}`
    return (await this.ask<{ pid: number }>(sql, [modes])).map(({ pid }) => pid)
  }

  /** Waits until none of these backends is left. */
  async untilGone(pids: readonly number[]): Promise<void> {
    await until('the backends are gone', async () => {
      const left = await this.ask('select from pg_stat_activity where pid = any ($1)', [pids])
      return left.length === 0
    })
  }

  /** Puts the proxy in front of another server, on the same port. */
  async follow(server: ServerNode): Promise<void> {
    const { port } = this.proxy
    await this.proxy.stop()
    this.primary = server
    this.proxy = await startFaultProxy({ target: this.#database.urlOn(server), port })
  }

  /** How often each operation is there, once nothing of the pools runs any more. */
  async rows(modes: readonly Mode[]): Promise<Map<string, number>> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.end()))
    this.#pools.clear()
    await until('no session is left', async () => (await this.backends(modes)).length === 0)
    const sql = 'select operation, count(*)::int as n from entry where step = 1 group by 1'
    const rows = await this.ask<{ operation: string; n: number }>(sql)
    return new Map(rows.map(({ operation, n }) => [operation, n]))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.end({ timeoutMs: 0 })))
    await this.proxy.stop()
    await this.cluster.stop()
  }
}
