import { createPool, type Pool, type PoolOptions } from '@pg-lifeguard/core'
import { drizzle } from '@pg-lifeguard/drizzle'
import { LifeguardDialect } from '@pg-lifeguard/kysely'
import { lifeguard, lifeguardAdapter } from '@pg-lifeguard/prisma'
import { Kysely } from 'kysely'
import { PrismaClient } from '#prisma'
import type { Tables } from './schema/kysely-tables.js'

/** The same pool, as raw SQL and through each ORM. This is all there is to set up. */
export function clientsOn(pool: Pool, schema = 'public') {
  return {
    pool,
    kysely: new Kysely<Tables>({ dialect: new LifeguardDialect(pool) }),
    drizzle: drizzle(pool),
    // Prisma writes the schema in front of every table; for the others the search_path of the connection decides.
    prisma: new PrismaClient({ adapter: lifeguardAdapter(pool, { schema }) }).$extends(lifeguard(pool)),
  }
}

export type Clients = ReturnType<typeof clientsOn>
export type KyselyDb = Clients['kysely']
export type DrizzleDb = Clients['drizzle']
export type PrismaDb = Clients['prisma']

/** A pool with its clients, until the end of an `await using` block. */
export function openClients(options: PoolOptions): Clients & AsyncDisposable {
  const clients = clientsOn(createPool(options))
  return {
    ...clients,
    async [Symbol.asyncDispose]() {
      await clients.prisma.$disconnect()
      await clients.pool.end({ timeoutMs: 2_000 })
    },
  }
}
