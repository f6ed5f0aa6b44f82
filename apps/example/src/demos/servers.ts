import { type Cluster, EmbeddedPostgresUnavailableError, startCluster } from '@pg-lifeguard/testing'

/** What the demos need between them. */
export interface ServersOptions {
  readonly replicas: number
  /** Of the primary; undefined for a free one. */
  readonly port: number | undefined
  /** Stops a start that is under way. */
  readonly signal: AbortSignal
}

/** The servers of the demos: started once for all of them, and once more behind a demo that has killed them. */
export class Servers implements AsyncDisposable {
  readonly #options: ServersOptions
  #cluster: Cluster | undefined

  constructor(options: ServersOptions) {
    this.#options = options
  }

  /** @throws the signal's reason; Error in one line where there is no embedded PostgreSQL */
  async cluster(): Promise<Cluster> {
    if (this.#cluster?.primary.running === true) return this.#cluster
    await this.#cluster?.stop()
    this.#cluster = await start(this.#options)
    return this.#cluster
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cluster?.stop()
  }
}

async function start({ replicas, port, signal }: ServersOptions): Promise<Cluster> {
  try {
    return await startCluster({ replicas, handleSignals: true, signal, ...(port === undefined ? {} : { port }) })
  } catch (cause) {
    if (!(cause instanceof EmbeddedPostgresUnavailableError)) throw cause
    const [reason] = cause.message.split(';')
    const own = 'DATABASE_URL=postgres://user:password@host:5432/database pnpm demo oversell'
    throw new Error(`${reason}; the ticket office runs on a server of yours, too: ${own}`, { cause })
  }
}
