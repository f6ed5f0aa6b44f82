import type { Clients } from '../../clients.js'
import { stockMovement } from '../../schema/drizzle-tables.js'

/**
 * One transaction over everything that is on the pool: nothing is handed on, what runs inside joins. `approve` stands for
 * whatever may say no in the middle. The function runs again when its connection is lost before COMMIT, so it must do
 * nothing but SQL, or something that may be done twice.
 */
export async function order(
  { pool, kysely, drizzle, prisma }: Clients,
  customer: string,
  item: string,
  approve: () => Promise<void>,
): Promise<void> {
  await pool.withTransaction(async (tx) => {
    await kysely.insertInto('purchase').values({ customer }).execute()
    await drizzle.insert(stockMovement).values({ item, amount: -1 })
    await prisma.invoice.create({ data: { customer, cents: 1_900 } })
    await approve()
    await tx.query('insert into audit (what) values ($1)', [`${customer} bought ${item}`])
  })
}
