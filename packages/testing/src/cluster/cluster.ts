import { withAdminClient } from './admin-client.js'
import { ServerOperationError } from './errors.js'
import type { KeeperClient } from './keeper-client.js'
import type { ServerNode } from './server-node.js'
import { type CreateDatabaseOptions, newDatabase, type TestDatabase } from './test-database.js'
import { waitUntil } from './wait-until.js'

/** How long to wait for the replicas. */
export interface WaitForReplicasOptions {
  /** In milliseconds. @default 10000 */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

/**
 * A primary and its streaming replicas: real PostgreSQL servers on 127.0.0.1, in a folder of their own.
 *
 * @example
 * await using cluster = await startCluster({ replicas: 1 })
 * console.log(cluster.primary.url, cluster.replicas[0]?.url)
 */
export class Cluster implements AsyncDisposable {
  /** The server that was started as the primary; it stays this one after a promotion. */
  readonly primary: ServerNode
  /** The servers that were started as replicas. */
  readonly replicas: readonly ServerNode[]
  readonly #keeper: KeeperClient

  /** @internal See startCluster. */
  constructor(
    servers: { readonly primary: ServerNode; readonly replicas: readonly ServerNode[] },
    keeper: KeeperClient,
  ) {
    this.primary = servers.primary
    this.replicas = servers.replicas
    this.#keeper = keeper
  }

  /** The folder that holds all data; removed by stop(). */
  get folder(): string {
    const { folder } = this.#keeper
    if (folder === undefined) throw new Error('bug: a started cluster has no folder')
    return folder
  }

  /** The admin url of the server that takes writes: the primary's, or a promoted replica's when that is gone. */
  get url(): string {
    return this.#writable()?.url ?? this.primary.url
  }

  /**
   * A new database on the primary, empty or copied from a template, and on the replicas too by the time this resolves
   * (unless a replica is stopped or its replay is paused).
   *
   * @throws the driver's error: 42P04 for a name that exists, 3D000 for a template that does not, 55006 for a
   * template that somebody is connected to.
   * @example
   * await using database = await cluster.createDatabase({ template: 'shop_template' })
   * const [replica] = cluster.replicas
   * const url = replica === undefined ? database.url : database.urlOn(replica)
   */
  async createDatabase(options: CreateDatabaseOptions = {}): Promise<TestDatabase> {
    // Without a server that takes writes there is nothing to drop it from: it goes with the folder.
    const dropUrl = () => this.#writable()?.url
    const database = await newDatabase({ ...options, adminUrl: this.url, dropUrl })
    await this.#untilReplayed({ timeoutMs: 10_000 }, 'skip paused replicas')
    return database
  }

  /**
   * Resolves when every running replica shows everything that was committed before the call.
   *
   * @throws ServerOperationError when one does not within `timeoutMs`, a paused one included.
   * @example
   * await cluster.replicas[0]?.resumeReplay()
   * await cluster.waitForReplicas()
   */
  async waitForReplicas(options: WaitForReplicasOptions = {}): Promise<void> {
    await this.#untilReplayed(options, 'wait for paused replicas')
  }

  /**
   * Stops all servers at once, whatever is connected, and removes the folder. When it resolves, no process, folder
   * or port is left. A second call waits for the first.
   *
   * @throws ServerOperationError when something could not be removed; it says what.
   */
  stop(): Promise<void> {
    return this.#keeper.destroy()
  }

  /** stop() */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  #writable(): ServerNode | undefined {
    return [this.primary, ...this.replicas].find((server) => server.running && server.role === 'primary')
  }

  async #untilReplayed(
    { timeoutMs = 10_000, signal }: WaitForReplicasOptions,
    paused: 'skip paused replicas' | 'wait for paused replicas',
  ): Promise<void> {
    const replicas = this.replicas.filter((server) => server.running && server.role === 'replica')
    const writable = this.#writable()
    if (replicas.length === 0 || writable === undefined) return
    const target = await withAdminClient(writable.url, async (client) => {
      // A place of our own in the log, followed by a commit. What the server has written so far may end in the middle
      // of a record, which no replica ever says it has replayed.
      const mark = "select pg_logical_emit_message(true, 'lifeguard', 'here') as lsn"
      const { rows } = await client.query<{ lsn: string }>(mark)
      return rows[0]?.lsn
    })
    const sql = `select coalesce(pg_last_wal_replay_lsn() >= $1::pg_lsn, false) as done,
                        pg_get_wal_replay_pause_state() as "pauseState"`
    const catchUp = async (replica: ServerNode) => {
      await withAdminClient(replica.url, async (client) => {
        let pauseState = ''
        const done = await waitUntil(
          async () => {
            const { rows } = await client.query<{ done: boolean; pauseState: string }>(sql, [target])
            pauseState = rows[0]?.pauseState ?? ''
            if (pauseState !== 'not paused' && paused === 'skip paused replicas') return true
            return rows[0]?.done === true ? true : undefined
          },
          { timeoutMs, signal, intervalMs: 2 },
        )
        if (done === undefined) {
          throw new ServerOperationError(
            `${replica.name} has not replayed up to ${target} within ${timeoutMs} ms (its replay is ${pauseState})`,
          )
        }
      })
    }
    await Promise.all(replicas.map(catchUp))
  }
}
