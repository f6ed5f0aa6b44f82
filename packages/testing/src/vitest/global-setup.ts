import { randomBytes } from 'node:crypto'
import type { TestProject } from 'vitest/node'
import { withAdminClient } from '../cluster/admin-client.js'
import type { Cluster } from '../cluster/cluster.js'
import { connectToServer } from '../cluster/connect-to-server.js'
import { startCluster } from '../cluster/start-cluster.js'
import { quoteIdentifier } from '../cluster/test-database.js'
import type {} from './provided-server.js'

/**
 * For `globalSetup` in vitest.config.ts: one PostgreSQL server for the whole run, embedded, or the one that
 * LIFEGUARD_TEST_URL names. useDatabase() then gives each test file a database on it. `provide: { lifeguardServers: n }`
 * starts n servers, for n workers.
 *
 * @throws what startCluster or connectToServer throws; the run then ends with that message.
 * @example
 * // vitest.config.ts
 * import { defineConfig } from 'vitest/config'
 * export default defineConfig({ test: { globalSetup: ['@pg-lifeguard/testing/vitest-global-setup'] } })
 */
export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const prefix = `lifeguard_${randomBytes(4).toString('hex')}_`
  if ((process.env['LIFEGUARD_TEST_URL'] ?? '') !== '') {
    const { url } = await connectToServer()
    project.provide('lifeguard', { url, urls: [url], prefix })
    return () => dropAll(url, prefix)
  }
  const clusters = await startClusters(project.getProvidedContext().lifeguardServers ?? 1)
  const urls = clusters.map(({ url }) => url)
  const [url] = urls
  if (url === undefined) throw new Error('bug: no server was started')
  project.provide('lifeguard', { url, urls, prefix })
  return () => stopAll(clusters)
}

async function startClusters(count: number): Promise<Cluster[]> {
  if (!Number.isInteger(count) || count < 1 || count > 64) {
    throw new RangeError(`provide.lifeguardServers must be an integer from 1 to 64, not ${count}`)
  }
  const started = await Promise.allSettled(Array.from({ length: count }, () => startCluster()))
  const failed = started.find((one) => one.status === 'rejected')
  const clusters = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  if (failed === undefined) return clusters
  await stopAll(clusters)
  throw failed.reason
}

async function stopAll(clusters: readonly Cluster[]): Promise<void> {
  await Promise.all(clusters.map((cluster) => cluster.stop()))
}

/** The templates, and databases of test files that were killed before they could drop them. */
async function dropAll(url: string, prefix: string): Promise<void> {
  await withAdminClient(url, async (client) => {
    const { rows } = await client.query<{ datname: string }>(
      'select datname from pg_database where starts_with(datname, $1)',
      [prefix],
    )
    for (const { datname } of rows) await client.query(`drop database ${quoteIdentifier(datname)} with (force)`)
  })
}
