import { startCluster } from '@pg-lifeguard/testing'
import pg from 'pg'
import { runForbidden } from './forbidden.js'
import { runOutage } from './outage.js'
import { runPairs } from './pairs.js'
import { runSlow } from './slow.js'
import type { StageResult } from './stage.js'

/** How large a run is. */
export interface ChaosOptions {
  readonly seed: number
  /** Pairs of a write and a read, in one process, and as many over two. */
  readonly pairs: number
  /** Statements that must not reach a replica. */
  readonly statements: number
  readonly promotedAfterMs: number
  /** How long the share of a slow replica is measured. */
  readonly slowSeconds: number
  /** The compiled program of the reading process. */
  readonly readerPath: string
  readonly progress?: (what: string) => void
}

/** How a run went. */
export interface ChaosResult {
  readonly seed: number
  readonly stages: readonly StageResult[]
}

/** A primary with two replicas, and everything that happens to such. */
export async function chaosCluster(options: ChaosOptions): Promise<ChaosResult> {
  const { seed, pairs, statements, promotedAfterMs, slowSeconds, readerPath, progress = () => undefined } = options
  const stages: StageResult[] = []
  {
    await using cluster = await startCluster({ replicas: 2, handleSignals: true })
    await using database = await cluster.createDatabase()
    const admin = new pg.Client(database.url)
    await admin.connect()
    await admin.query('create table item (id int primary key, version int not null)')
    await admin.end()
    await cluster.waitForReplicas()
    progress(`${pairs} pairs, twice`)
    stages.push(await runPairs({ cluster, database, pairs, seed, readerPath }))
    progress(`${statements} statements for the primary`)
    stages.push(await runForbidden(cluster, database, statements, seed))
    progress('a slow replica')
    stages.push(await runSlow(cluster, database, slowSeconds))
  }
  progress('the end of a primary')
  stages.push(await runOutage(promotedAfterMs))
  return { seed, stages }
}
