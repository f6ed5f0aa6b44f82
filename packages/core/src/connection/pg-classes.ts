import type { EventEmitter } from 'node:events'
import pg from 'pg'
import type { ClientInternals, Submittable, WireConnection } from './pg-internals.js'

/** What takes the place of a `pg.Pool`: the type is pg's own. */
export type PgPool = pg.Pool

/** What takes the place of a `pg.Client` that is connected: the type is pg's own. */
export type PgClient = pg.ClientBase

/** The fields of a `pg.Client` that a view of one has to fill in by itself. */
export interface PgClientFields extends EventEmitter {
  processID: number | null
  secretKey: number | null
  _types: unknown
  _connected: boolean
  readonly _ending: boolean
}

/** `pg.Client`, to be extended by what stands for a connection that exists already. */
export const PgClientBase = pg.Client as unknown as new (config: {
  readonly connection: WireConnection
  readonly host: string
  readonly port: number
  readonly user: string | undefined
  readonly database: string | undefined
}) => PgClientFields

/** `pg.Pool`, to be extended by what only looks like it: its constructor opens nothing. */
export const PgPoolBase = pg.Pool as unknown as new (
  options: Readonly<Record<string, unknown>>,
) => EventEmitter & { readonly options: Record<string, unknown> }

/** The configuration of a client that stands for this one, over the same connection. */
export function sameClient(client: pg.Client): ConstructorParameters<typeof PgClientBase>[0] {
  const { connection } = client as unknown as ClientInternals
  return { connection, host: client.host, port: client.port, user: client.user, database: client.database }
}

/** Copies what the server said to this client at its start, and its type parsers. */
export function takeIdentity(view: PgClientFields, client: pg.Client): void {
  const { processID, secretKey, _types } = client as unknown as PgClientFields
  Object.assign(view, { processID, secretKey, _types, _connected: true })
}

/** `pg`'s own query, for the options that ours does not have. */
export function nativeQuery(config: object, callback: (error: unknown, result: never) => void): Submittable {
  return new pg.Query(config as pg.QueryConfig, callback as never) as unknown as Submittable
}
