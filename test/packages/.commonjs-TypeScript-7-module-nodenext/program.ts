// A program in CommonJS, as TypeScript has long written it: test/packages/commonjs.test.ts compiles and runs it.
import * as core from '@pg-lifeguard/core'
import { createPool, drizzle, type LifeguardDatabase, poolOf, withTransaction } from '@pg-lifeguard/drizzle'
import { LifeguardDialect } from '@pg-lifeguard/kysely'
import { lifeguardAdapter } from '@pg-lifeguard/prisma'
import { DrizzleQueryError, sql, TransactionRollbackError } from 'drizzle-orm'
import { PgDatabase, pgTable, serial, text } from 'drizzle-orm/pg-core'
import { Pool } from 'pg'

const item = pgTable('item', { id: serial('id').primaryKey(), name: text('name').unique() })
const schema = { item }

async function main(): Promise<void> {
  const pool: core.Pool = createPool({ connectionString: process.env['DATABASE'], max: 2 })
  try {
    const db: LifeguardDatabase<typeof schema> = drizzle(pool, { schema })
    await db.execute(sql`drop table if exists item`)
    await db.execute(sql`create table item (id serial primary key, name text unique)`)
    const rows = await withTransaction(db, async (tx) => {
      await tx.insert(item).values({ name: 'rope' })
      return await tx.query.item.findMany()
    })
    const names: (string | null)[] = rows.map(({ name }) => name)
    const refused: unknown = await db
      .insert(item)
      .values({ name: 'rope' })
      .catch((error: unknown) => error)
    const undone: unknown = await db.transaction(async (tx) => tx.rollback()).catch((error: unknown) => error)
    const misuse: unknown = await Promise.resolve()
      .then(() => core.createPool({ max: 0 }))
      .catch((error: unknown) => error)
    // The form for ES modules beside that for CommonJS, as of a dependency that is written in the other.
    const other: typeof import('@pg-lifeguard/drizzle') = await Function('return import("@pg-lifeguard/drizzle")')()
    console.log(
      JSON.stringify({
        names,
        oneCore: core.createPool === createPool && other.createPool === createPool,
        isTwice: other.drizzle !== drizzle,
        pgPool: pool.asPgPool() instanceof Pool,
        database: db instanceof PgDatabase,
        refused: refused instanceof DrizzleQueryError,
        undone: undone instanceof TransactionRollbackError,
        misuse: misuse instanceof core.InvalidArgumentError,
        known: other.poolOf(db) === pool && poolOf(other.drizzle(pool)) === pool,
        adapters: [typeof LifeguardDialect, typeof lifeguardAdapter],
      }),
    )
  } finally {
    await pool.end()
  }
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
