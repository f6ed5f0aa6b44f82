// What a user's project looks like: type-checked against the packed tarballs, and run.
import { classify, type ErrorClass, LifeguardError, type PoolOptions, sqlStateOf } from '@pg-lifeguard/core'
import { createPool, LifeguardDialect, withLock, withOptimisticRetry, withTransaction } from '@pg-lifeguard/kysely'
import { withTransaction as inPrisma, lifeguard, lifeguardAdapter } from '@pg-lifeguard/prisma'
import { startCluster } from '@pg-lifeguard/testing'
import { type Generated, Kysely, sql } from 'kysely'
import { PrismaClient } from './generated/client.js'

interface Database {
  item: { id: Generated<number>; name: string }
}

await using cluster = await startCluster()
await using database = await cluster.createDatabase()
const options: PoolOptions = { connectionString: database.url, max: 4, name: 'consumer' }
await using pool = createPool(options)
const db = new Kysely<Database>({ dialect: new LifeguardDialect(pool) })

await sql`create table item (id serial primary key, name text unique)`.execute(db)
const name: string = await withTransaction(db, async (trx, tx) => {
  const { name } = await trx.insertInto('item').values({ name: 'rope' }).returning('name').executeTakeFirstOrThrow()
  await tx.query('insert into item (name) values ($1)', ['ring'])
  return name
})
const xid: bigint = await withLock(db, 'consumer', async ({ fencingToken }) => fencingToken.xid, { waitMs: 1_000 })
const attempt: number = await withOptimisticRetry(db, async ({ attempt }) => attempt)
const prisma = new PrismaClient({ adapter: lifeguardAdapter(pool) }).$extends(lifeguard(pool))
const knot: { id: number; name: string } = await inPrisma(prisma, async (tx) => {
  await db.insertInto('item').values({ name: 'net' }).execute()
  return await tx.item.create({ data: { name: 'knot' } })
})
const { rows } = await pool.query<{ name: string }>('select name from item order by id', [], { timeoutMs: 5_000 })
const failure: unknown = await pool.query('insert into item (name) values ($1)', ['rope']).catch((error) => error)
const kind: ErrorClass = classify(failure)
const misuse: unknown = await (async () => createPool({ max: 0 }))().catch((error: unknown) => error)

console.log(
  JSON.stringify({
    name,
    names: rows.map((row) => row.name),
    knot: knot.name,
    locked: xid > 0n,
    attempt,
    state: sqlStateOf(failure),
    kind,
    misuse: LifeguardError.isInstance(misuse) ? misuse.code : undefined,
    total: pool.stats().pool.max,
  }),
)

/** What the types must refuse; compiled, never called. */
export function refused(): void {
  // @ts-expect-error there is no such column
  db.selectFrom('item').select('colour')
  // @ts-expect-error there is no such model
  prisma.colour.findMany()
  // @ts-expect-error a transaction cannot be disconnected
  inPrisma(prisma, async (tx) => tx.$disconnect())
  // @ts-expect-error a duration has a unit that is known
  createPool({ acquireTimeoutMs: '5 seconds' })
  // @ts-expect-error an option of pg.Pool that has another name here
  createPool({ idleTimeoutMillis: 5 })
}
