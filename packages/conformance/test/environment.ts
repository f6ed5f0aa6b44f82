import { createPool, type Pool } from '@pg-lifeguard/core'
import { type Cluster, startCluster } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { afterAll, beforeAll } from 'vitest'
import { type Environment, type ReplicatedDatabase, schema } from '../src/index.js'

/** A database with the tables for all cases of this file, and a cluster as soon as one asks for it. */
export function useEnvironment(): Environment {
  const database = useDatabase({ setup: schema })
  let admin: Pool | undefined
  let replicated: Promise<ReplicatedDatabase> | undefined
  let cluster: Cluster | undefined
  beforeAll(() => {
    admin = createPool({ connectionString: database.url, max: 2, applicationName: 'conformance admin' })
  })
  afterAll(async () => {
    await admin?.end()
    await cluster?.stop()
  })
  const start = async (): Promise<ReplicatedDatabase> => {
    cluster = await startCluster({ replicas: 1 })
    return await replicatedDatabase(cluster, schema)
  }
  return {
    database,
    get admin() {
      if (admin === undefined) throw new Error('the environment exists only while tests and their hooks run')
      return admin
    },
    cluster: () => {
      replicated ??= start()
      return replicated
    },
  }
}

/** A database on a cluster, set up there and on its replica. */
export async function replicatedDatabase(cluster: Cluster, setup: string): Promise<ReplicatedDatabase> {
  const { url, urlOn } = await cluster.createDatabase()
  const setUp = createPool({ connectionString: url, max: 1 })
  await setUp.query(setup)
  await setUp.end()
  await cluster.waitForReplicas()
  const [replica] = cluster.replicas
  if (replica === undefined) throw new Error('bug: a cluster without its replica')
  return { url, replicaUrl: urlOn(replica), cluster }
}
