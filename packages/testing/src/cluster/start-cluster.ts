import { randomBytes } from 'node:crypto'
import { withAdminClient } from './admin-client.js'
import { Cluster } from './cluster.js'
import { parseSettings } from './default-settings.js'
import { ClusterStartError } from './errors.js'
import { KeeperClient } from './keeper-client.js'
import type { ClusterSpec } from './keeper-protocol.js'
import { addRunning } from './running-clusters.js'
import { ServerNode } from './server-node.js'
import { handleSignals } from './signal-handling.js'
import { waitUntil } from './wait-until.js'

/** A value of a PostgreSQL setting: `true` is `on`, and a number is in the setting's own unit. */
export type SettingValue = string | number | boolean

/** What startCluster makes. */
export interface StartClusterOptions {
  /** How many streaming hot standbys, 0 to 8. @default 0 */
  readonly replicas?: number
  /**
   * Settings for postgresql.conf, on all servers, on top of the defaults (fsync off, 200 connections, 32 MB of shared
   * buffers, UTC; commits mean what they mean in production). `port` and `primary_conninfo` cannot be set.
   * @default {}
   */
  readonly settings?: Readonly<Record<string, SettingValue>>
  /** Settings for the replicas only, on top of `settings`. @default {} */
  readonly replicaSettings?: Readonly<Record<string, SettingValue>>
  /** The primary's port on 127.0.0.1, 1 to 65535; replicas always take free ones. @default a free one */
  readonly port?: number
  /**
   * A folder with bin/initdb and bin/postgres of PostgreSQL 15 or newer, such as `/usr/lib/postgresql/17`.
   * @default the PostgreSQL 18 that comes with this package
   */
  readonly binaries?: string
  /**
   * On SIGINT, SIGTERM and SIGHUP: stop all clusters, and only then end the process by that signal, so that nothing
   * is left when the prompt comes back. Without it everything is removed as well, but a moment after the process
   * has ended. Leave it off in a program with handlers of its own; they call stopAllClusters().
   * @default false
   */
  readonly handleSignals?: boolean
  /** Aborts the start; what was started by then is removed. */
  readonly signal?: AbortSignal
  /** How long the whole start may take, in milliseconds. @default 60000 */
  readonly timeoutMs?: number
}

/**
 * Starts a PostgreSQL primary, and streaming replicas if wanted: about a second, from nothing but the npm registry.
 * Everything is gone again after stop(), at the end of an `await using` block, and also when this process ends
 * without either, however it ends.
 *
 * @throws EmbeddedPostgresUnavailableError without binaries for this platform, PortInUseError for a taken `port`,
 * ClusterStartError with the end of the server's log for everything else, RangeError for an invalid option, and the
 * signal's reason when it is aborted.
 * @example
 * await using cluster = await startCluster({ replicas: 1, settings: { deadlock_timeout: '100ms' } })
 * await using database = await cluster.createDatabase()
 * console.log(database.url)
 */
export async function startCluster(options: StartClusterOptions = {}): Promise<Cluster> {
  const { signal, timeoutMs = 60_000 } = options
  const spec = parseOptions(options)
  signal?.throwIfAborted()
  const deadline = AbortSignal.timeout(timeoutMs)
  const aborted = signal === undefined ? deadline : AbortSignal.any([signal, deadline])

  const nodes: ServerNode[] = []
  const keeper = new KeeperClient({
    onServerExit: (name, pid) => nodes.find((node) => node.name === name)?.noticeExit(pid),
    onGone: () => {
      for (const node of nodes) if (node.pid !== undefined) node.noticeExit(node.pid)
      forget()
      stopHandling()
    },
  })
  // Before anything is there to be stopped: Ctrl-C in the middle of a start leaves nothing either.
  const forget = addRunning({ stop: () => keeper.destroy() })
  const stopHandling = options.handleSignals === true ? handleSignals() : () => undefined
  // The outcome is awaited below.
  const onAbort = () => void keeper.destroy().catch(() => undefined)
  aborted.addEventListener('abort', onAbort, { once: true })
  try {
    const { servers } = await keeper.request('create', { spec })
    const [primary, ...replicas] = servers.map(
      (server, index) => new ServerNode(server, index === 0 ? 'primary' : 'replica', spec.password, keeper),
    )
    if (primary === undefined) throw new Error('bug: the keeper created no primary')
    nodes.push(primary, ...replicas)
    if (replicas.length > 0) await untilStreaming(primary, replicas.length, aborted)
    aborted.throwIfAborted()
    return new Cluster({ primary, replicas }, keeper)
  } catch (error) {
    await keeper.destroy()
    signal?.throwIfAborted()
    if (deadline.aborted) throw new ClusterStartError(`the cluster was not up within ${timeoutMs} ms`, { cause: error })
    throw error
  } finally {
    aborted.removeEventListener('abort', onAbort)
  }
}

function parseOptions(options: StartClusterOptions): ClusterSpec {
  const { replicas = 0, port, timeoutMs = 60_000, settings = {}, replicaSettings = {}, binaries } = options
  const mustBeBetween = (name: string, value: number, min: number, max: number) => {
    if (Number.isInteger(value) && value >= min && value <= max) return
    throw new RangeError(`${name} must be an integer from ${min} to ${max}, not ${value}`)
  }
  mustBeBetween('replicas', replicas, 0, 8)
  mustBeBetween('timeoutMs', timeoutMs, 1, 2 ** 31 - 1)
  if (port !== undefined) mustBeBetween('port', port, 1, 65_535)
  return {
    replicas,
    port,
    binaries,
    // 144 bits, and no character that a url or a connection string would need escaped.
    password: randomBytes(18).toString('hex'),
    settings: parseSettings('settings', settings),
    replicaSettings: parseSettings('replicaSettings', replicaSettings),
  }
}

/** A standby accepts connections before its stream is up; a test that counts on it must not have to wait. */
async function untilStreaming(primary: ServerNode, count: number, signal: AbortSignal): Promise<void> {
  await withAdminClient(primary.url, (client) =>
    waitUntil(
      async () => {
        const { rows } = await client.query<{ streaming: number }>(
          `select count(*)::int as streaming from pg_stat_replication where state = 'streaming'`,
        )
        return rows[0]?.streaming === count ? true : undefined
      },
      { timeoutMs: Number.POSITIVE_INFINITY, intervalMs: 5, signal },
    ),
  )
}
