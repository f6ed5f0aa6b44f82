import { type Cluster, type StartClusterOptions, startCluster, type TestDatabase } from '@pg-lifeguard/testing'
import pg from 'pg'
import { afterAll, afterEach, beforeAll } from 'vitest'
import { createPool, type Pool, type PoolOptions } from '../../src/index.js'

/** A primary, two replicas and a database, with the short forms that tests use. */
export class ClusterBench {
  readonly cluster: Cluster
  readonly database: TestDatabase
  readonly #pools: Pool[] = []

  constructor(cluster: Cluster, database: TestDatabase) {
    this.cluster = cluster
    this.database = database
  }

  /** URLs of the database on the replicas. */
  get replicas(): string[] {
    return this.cluster.replicas.map((server) => this.database.urlOn(server))
  }

  /** A pool on all three, ended behind the test. */
  pool(options: PoolOptions = {}): Pool {
    const pool = createPool({ connectionString: this.database.url, replicas: this.replicas, max: 5, ...options })
    this.#pools.push(pool)
    return pool
  }

  async endPools(): Promise<void> {
    await Promise.all(this.#pools.splice(0).map((pool) => pool.end({ timeoutMs: 5_000 })))
  }
}

/** Gives a test file, or a part of one, a cluster of its own: they stop servers, and must not do so to others. */
export function useCluster(setup: string, options: StartClusterOptions = {}): () => ClusterBench {
  let bench: ClusterBench | undefined
  beforeAll(async () => {
    const cluster = await startCluster({ replicas: 2, ...options })
    const database = await cluster.createDatabase()
    await onServer(database.url, setup)
    await cluster.waitForReplicas()
    bench = new ClusterBench(cluster, database)
  })
  afterEach(() => bench?.endPools())
  afterAll(() => bench?.cluster.stop())
  return () => {
    if (bench === undefined) throw new Error('the cluster exists only while tests and their hooks run')
    return bench
  }
}

/** Runs a statement past every pool. */
export async function onServer<Row extends object>(url: string, sql: string): Promise<Row[]> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return (await client.query<Row>(sql)).rows
  } finally {
    await client.end()
  }
}
