import { withAdminClient, withDatabaseName } from './admin-client.js'
import { ServerOperationError } from './errors.js'
import type { KeeperClient } from './keeper-client.js'
import type { CreatedServer, StopMode } from './keeper-protocol.js'
import { waitUntil } from './wait-until.js'

/** Whether a server takes writes, or follows one that does. */
export type ServerRole = 'primary' | 'replica'

/** How a server is stopped. */
export interface StopServerOptions {
  /**
   * `smart` waits for the sessions to end, `fast` ends them (57P01) and rolls back, `immediate` drops everything
   * without writing it down, and the next start recovers.
   * @default 'fast'
   */
  readonly mode?: StopMode
  /** How long to wait for the end, in milliseconds. @default 30000 */
  readonly timeoutMs?: number
}

/** How long a server may take to come up, in milliseconds. */
export interface StartServerOptions {
  /** @default 30000 */
  readonly timeoutMs?: number
}

/**
 * One PostgreSQL server of a cluster.
 *
 * @example
 * await using cluster = await startCluster({ replicas: 1 })
 * const [replica] = cluster.replicas
 * await cluster.primary.kill()
 * await replica?.promote()
 */
export class ServerNode {
  /** `primary`, `replica-1`, `replica-2`, ... as started; also a replica's application_name on the primary. */
  readonly name: string
  /** The TCP port on 127.0.0.1; the same over restarts. */
  readonly port: number
  /** `postgres://postgres:<password>@127.0.0.1:<port>/postgres`, as superuser. */
  readonly url: string
  readonly #keeper: KeeperClient
  #pid: number | undefined
  #role: ServerRole

  /** @internal Nodes come with a cluster: see startCluster. */
  constructor(created: CreatedServer, role: ServerRole, password: string, keeper: KeeperClient) {
    this.name = created.name
    this.port = created.port
    this.url = `postgres://postgres:${password}@127.0.0.1:${created.port}/postgres`
    this.#pid = created.pid
    this.#role = role
    this.#keeper = keeper
  }

  /** The process id of the server, `undefined` while it does not run. */
  get pid(): number | undefined {
    return this.#pid
  }

  /** Whether the server's process runs. */
  get running(): boolean {
    return this.#pid !== undefined
  }

  /** As it was started, or made by promote(). */
  get role(): ServerRole {
    return this.#role
  }

  /** The url of another database on this server. */
  urlOf(database: string): string {
    return withDatabaseName(this.url, database)
  }

  /**
   * A crash: SIGKILL to the server and all its sessions at once. Clients see their connections end without a word.
   * Resolves when the last process is gone.
   *
   * @throws ServerOperationError when it does not run.
   */
  async kill(): Promise<void> {
    await this.#keeper.request('kill', { server: this.name })
  }

  /**
   * Shuts the server down; does nothing when it does not run.
   *
   * @throws ServerOperationError when it has not ended after `timeoutMs`; it goes on shutting down then, and a
   * stricter mode can be asked for.
   */
  async stop({ mode = 'fast', timeoutMs = 30_000 }: StopServerOptions = {}): Promise<void> {
    await this.#keeper.request('stop', { server: this.name, mode, timeoutMs })
  }

  /**
   * Starts the server after a kill() or stop(), on the same port; resolves when it accepts connections.
   *
   * @throws ClusterStartError with the end of its log, PortInUseError, ServerOperationError when it runs already.
   */
  async start({ timeoutMs = 30_000 }: StartServerOptions = {}): Promise<void> {
    const { pid } = await this.#keeper.request('start', { server: this.name, timeoutMs })
    this.#pid = pid
  }

  /** stop(), then start(). */
  async restart(options: StopServerOptions = {}): Promise<void> {
    await this.stop(options)
    await this.start(options)
  }

  /**
   * Makes a replica a primary; resolves when it takes writes. The other servers are not informed: other replicas go on
   * following the old primary, and an old primary that is started again is a second one.
   *
   * @throws ServerOperationError for a primary, and when the promotion takes longer than 60 s.
   */
  async promote(): Promise<void> {
    this.#mustBeReplica('promoted')
    const promoted = await withAdminClient(this.url, async (client) => {
      const { rows } = await client.query<{ done: boolean }>('select pg_promote(true, 60) as done')
      return rows[0]?.done === true
    })
    if (!promoted)
      throw new ServerOperationError(`${this.name} was not promoted within 60 s`, { log: await this.log() })
    this.#role = 'primary'
  }

  /**
   * Freezes what this replica shows, although it goes on receiving: a replication lag as long as you like. Resolves
   * when the replay stands still.
   *
   * @throws ServerOperationError for a primary.
   */
  async pauseReplay(): Promise<void> {
    this.#mustBeReplica('paused')
    await withAdminClient(this.url, async (client) => {
      await client.query('select pg_wal_replay_pause()')
      const paused = await waitUntil(
        async () => {
          const { rows } = await client.query<{ state: string }>('select pg_get_wal_replay_pause_state() as state')
          return rows[0]?.state === 'paused' ? true : undefined
        },
        { timeoutMs: 30_000, intervalMs: 2 },
      )
      if (paused === undefined) throw new ServerOperationError(`${this.name} did not pause its replay within 30000 ms`)
    })
  }

  /**
   * Ends pauseReplay(); see Cluster.waitForReplicas to wait until the replica has caught up.
   *
   * @throws ServerOperationError for a primary.
   */
  async resumeReplay(): Promise<void> {
    this.#mustBeReplica('resumed')
    await withAdminClient(this.url, (client) => client.query('select pg_wal_replay_resume()'))
  }

  /** The last 200 lines of the server's log, oldest first. */
  async log(): Promise<readonly string[]> {
    return (await this.#keeper.request('log', { server: this.name })).lines
  }

  /** @internal The keeper saw the process end. */
  noticeExit(pid: number): void {
    if (this.#pid === pid) this.#pid = undefined
  }

  #mustBeReplica(what: string): void {
    if (this.#role !== 'replica') throw new ServerOperationError(`${this.name} is a primary, it cannot be ${what}`)
  }
}
