import { randomBytes } from 'node:crypto'
import type pg from 'pg'
import { withAdminClient, withDatabaseName } from './admin-client.js'

/** What a new database is made from. */
export interface CreateDatabaseOptions {
  /** The database to copy; nobody may be connected to it. @default 'template1', which is empty */
  readonly template?: string
  /** @default `lifeguard_` and 12 random characters */
  readonly name?: string
}

/**
 * A database of its own, gone at the end of the block it is declared in.
 *
 * @example
 * await using database = await cluster.createDatabase()
 * const client = new pg.Client(database.url)
 */
export interface TestDatabase extends AsyncDisposable {
  readonly name: string
  /** Where it takes writes. */
  readonly url: string
  /** The same database on another server of the cluster, such as a replica: `urlOn(cluster.replicas[0])`. */
  urlOn(server: { urlOf(database: string): string }): string
  /** Drops it, ending the sessions that are still connected to it; harmless when it is gone already. */
  drop(): Promise<void>
}

/** An identifier for use in SQL text. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/**
 * CREATE DATABASE takes no parameters, and fails while anybody is connected to the template. To copy the files takes a
 * fifth of the time that it takes to log each of their pages, where the two checkpoints for it wait for no disk.
 *
 * https://www.postgresql.org/docs/current/sql-createdatabase.html
 */
export async function createDatabaseOn(client: pg.Client, name: string, template: string | undefined): Promise<void> {
  const { rows } = await client.query<{ copies: boolean }>(
    `select current_setting('fsync') = 'off' and current_setting('server_version_num')::int >= 150000 as copies`,
  )
  const from = template === undefined ? '' : ` template ${quoteIdentifier(template)}`
  const strategy = rows[0]?.copies === true ? ' strategy file_copy' : ''
  await client.query(`create database ${quoteIdentifier(name)}${from}${strategy}`)
}

export interface NewDatabaseOptions extends CreateDatabaseOptions {
  readonly adminUrl: string
  /** Where to drop it; `undefined` when there is no server any more, and so nothing to drop. */
  readonly dropUrl: () => string | undefined
}

export async function newDatabase(options: NewDatabaseOptions): Promise<TestDatabase> {
  const { adminUrl, dropUrl, template, name = `lifeguard_${randomBytes(6).toString('hex')}` } = options
  await withAdminClient(adminUrl, (client) => createDatabaseOn(client, name, template))
  const drop = async () => {
    const url = dropUrl()
    if (url === undefined) return
    await withAdminClient(url, (client) =>
      client.query(`drop database if exists ${quoteIdentifier(name)} with (force)`),
    )
  }
  return {
    name,
    url: withDatabaseName(adminUrl, name),
    urlOn: (server) => server.urlOf(name),
    drop,
    [Symbol.asyncDispose]: drop,
  }
}
