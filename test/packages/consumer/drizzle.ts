// The same for Drizzle.
import { createPool, drizzle, sqlStateOf, withTransaction } from '@pg-lifeguard/drizzle'
import { startCluster } from '@pg-lifeguard/testing'
import { sql } from 'drizzle-orm'
import { pgTable, serial, text } from 'drizzle-orm/pg-core'

const item = pgTable('item', { id: serial('id').primaryKey(), name: text('name').unique() })

await using cluster = await startCluster()
await using database = await cluster.createDatabase()
await using pool = createPool({ connectionString: database.url, max: 4 })
const db = drizzle(pool, { schema: { item } })
await db.execute(sql`create table item (id serial primary key, name text unique)`)
const rows = await withTransaction(db, async (tx, core) => {
  await tx.insert(item).values({ name: 'rope' })
  await core.query('insert into item (name) values ($1)', ['ring'])
  return await tx.query.item.findMany({ orderBy: item.id })
})
const names: (string | null)[] = rows.map((row) => row.name)
const failure: unknown = await db
  .insert(item)
  .values({ name: 'rope' })
  .catch((error: unknown) => error)
console.log(JSON.stringify({ names, state: sqlStateOf(failure) }))

/** What the types must refuse; compiled, never called. */
export function refused(): void {
  // @ts-expect-error there is no such column
  db.insert(item).values({ colour: 'red' })
}
