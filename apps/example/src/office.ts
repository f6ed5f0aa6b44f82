import { randomBytes } from 'node:crypto'
import { createPool, type Pool } from '@pg-lifeguard/core'
import { LifeguardDialect } from '@pg-lifeguard/kysely'
import { Kysely, sql } from 'kysely'
import { type Clients, clientsOn } from './clients.js'
import type { DatabaseServer } from './database-server.js'
import type { Tables } from './schema/kysely-tables.js'
import { TablesLeftError } from './tables-left-error.js'

/** How many connections the buyers share, however many they are. */
export const connections = 10

/**
 * The ticket office on one PostgreSQL server: tables in a schema of their own, a pool that the buyers share, and one
 * connection apart from it, from which the result is inspected.
 */
export class Office implements AsyncDisposable {
  /** What the buyers use. */
  readonly clients: Clients
  readonly pool: Pool
  readonly #inspectors: Pool
  readonly #inspector: Kysely<Tables>
  readonly #schema: string
  readonly #server: DatabaseServer
  #hasTables = false

  private constructor(server: DatabaseServer) {
    const connectionString = server.url
    this.#server = server
    this.#schema = `lifeguard_ticket_office_${randomBytes(6).toString('hex')}`
    this.pool = createPool({
      connectionString,
      name: this.#schema,
      max: connections,
      settings: { search_path: this.#schema },
      // 500 people in front of 10 connections is the point: they may wait as long as it takes.
      acquireTimeoutMs: 120_000,
      overload: false,
    })
    this.clients = clientsOn(this.pool, this.#schema)
    this.#inspectors = createPool({ connectionString, name: 'lifeguard-ticket-inspector', max: 1 })
    this.#inspector = new Kysely<Tables>({ dialect: new LifeguardDialect(this.#inspectors) }).withSchema(this.#schema)
  }

  /** Connects, and makes the tables. */
  static async open(server: DatabaseServer): Promise<Office> {
    const office = new Office(server)
    try {
      await office.#setUp()
      return office
    } catch (error) {
      await office[Symbol.asyncDispose]()
      throw error
    }
  }

  /** A new event with this many tickets, and nothing else. */
  async announce(tickets: number): Promise<number> {
    await sql`truncate ${sql.id(this.#schema, 'event')}, ${sql.id(this.#schema, 'ticket')}`.execute(this.#inspector)
    const { id } = await this.#inspector
      .insertInto('event')
      .values({ tickets })
      .returning('id')
      .executeTakeFirstOrThrow()
    return id
  }

  /** The buyer of every ticket that was sold, as the database has it. */
  async buyersOf(eventId: number): Promise<number[]> {
    const rows = await this.#inspector.selectFrom('ticket').select('buyer').where('event_id', '=', eventId).execute()
    return rows.map(({ buyer }) => buyer)
  }

  /** How many sessions the buyers' pool has on the server, as the server sees it. */
  async sessions(): Promise<number> {
    const { rows } = await sql<{ n: number }>`
      select count(*)::int as n from pg_stat_activity where application_name = ${this.pool.name}`.execute(
      this.#inspector,
    )
    return rows[0]?.n ?? 0
  }

  /** Ends every connection of the buyers, in the middle of what they do; whoever waits is rejected. */
  async closeAtOnce(): Promise<void> {
    await this.pool.end({ timeoutMs: 0 })
  }

  /** Removes the tables and closes every connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.clients.prisma.$disconnect()
      await this.pool.end({ timeoutMs: 1_000 })
      // An embedded server takes everything along.
      if (this.#hasTables && this.#server.kind === 'DATABASE_URL') await this.#dropSchema()
    } finally {
      await this.#inspectors.end({ timeoutMs: 1_000 })
    }
  }

  async #setUp(): Promise<void> {
    await this.#inspectors.withTransaction(async () => {
      const { schema } = this.#inspector
      await schema.createSchema(this.#schema).execute()
      await schema
        .createTable('event')
        .addColumn('id', 'integer', (column) => column.primaryKey().generatedAlwaysAsIdentity())
        .addColumn('tickets', 'integer', (column) => column.notNull())
        .addColumn('version', 'integer', (column) => column.notNull().defaultTo(0))
        .execute()
      await schema
        .createTable('ticket')
        .addColumn('id', 'integer', (column) => column.primaryKey().generatedAlwaysAsIdentity())
        .addColumn('event_id', 'integer', (column) => column.notNull())
        .addColumn('buyer', 'integer', (column) => column.notNull())
        .execute()
      await schema.createIndex('ticket_of_event').on('ticket').column('event_id').execute()
    })
    this.#hasTables = true
    // All connections are there before the first buyer comes, so that no way pays for opening them.
    const opened = await Promise.all(Array.from({ length: connections }, () => this.pool.acquire()))
    for (const connection of opened) connection.release()
  }

  async #dropSchema(): Promise<void> {
    try {
      await this.#inspector.schema.dropSchema(this.#schema).ifExists().cascade().execute()
    } catch (cause) {
      throw new TablesLeftError(this.#schema, { cause })
    }
  }
}
