import { randomBytes } from 'node:crypto'
import type { TestProject } from 'vitest/node'
import { withAdminClient } from '../cluster/admin-client.js'
import { connectToServer } from '../cluster/connect-to-server.js'
import { startCluster } from '../cluster/start-cluster.js'
import { quoteIdentifier } from '../cluster/test-database.js'
import type {} from './provided-server.js'

/**
 * For `globalSetup` in vitest.config.ts: one PostgreSQL server for the whole run, embedded, or the one that
 * LIFEGUARD_TEST_URL names. useDatabase() then gives each test file a database on it.
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
    project.provide('lifeguard', { url, prefix })
    return () => dropAll(url, prefix)
  }
  const cluster = await startCluster()
  project.provide('lifeguard', { url: cluster.url, prefix })
  return () => cluster.stop()
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
