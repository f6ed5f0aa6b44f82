import { createHash } from 'node:crypto'
import { withAdminClient, withDatabaseName } from '../cluster/admin-client.js'
import { createDatabaseOn, quoteIdentifier } from '../cluster/test-database.js'
import type { ProvidedServer } from './provided-server.js'

/**
 * The database that this set-up SQL has been run in, made by whichever test file asks first. It gets its name only
 * when it is complete, so that a set-up that fails leaves no half template.
 */
export async function templateFor(server: ProvidedServer, setup: string): Promise<string> {
  const hash = createHash('sha256').update(setup).digest('hex').slice(0, 16)
  const template = `${server.prefix}template_${hash}`
  await withAdminClient(server.url, async (client) => {
    // One file makes it, the others wait; the lock ends with the session.
    await client.query('select pg_advisory_lock(hashtextextended($1, 0))', [template])
    const { rowCount } = await client.query('select from pg_database where datname = $1', [template])
    if (rowCount === 1) return
    const unfinished = `${template}_unfinished`
    await client.query(`drop database if exists ${quoteIdentifier(unfinished)} with (force)`)
    await createDatabaseOn(client, unfinished, undefined)
    await withAdminClient(withDatabaseName(server.url, unfinished), (inside) => inside.query(setup))
    await client.query(`alter database ${quoteIdentifier(unfinished)} rename to ${quoteIdentifier(template)}`)
  })
  return template
}
