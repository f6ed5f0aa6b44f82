import { eq } from 'drizzle-orm'
import type { DrizzleDb } from '../../clients.js'
import { note } from '../../schema/drizzle-tables.js'
import type { SaveAndShow } from './note.js'

/** WRONG. The replica that answers may not have got the write yet. */
export const saveAndShowNaively: SaveAndShow<DrizzleDb> = async (pool, db, id, body) => {
  await db.update(note).set({ body }).where(eq(note.id, id))
  const [shown] = await pool.read(async () => await db.select().from(note).where(eq(note.id, id)))
  return shown?.body
}

/** RIGHT. One line of work: its reads show its writes, from a replica that has them, or else from the primary. */
export const saveAndShow: SaveAndShow<DrizzleDb> = (pool, db, id, body) =>
  pool.withCausality(undefined, async () => {
    await db.update(note).set({ body }).where(eq(note.id, id))
    const [shown] = await pool.read(async () => await db.select().from(note).where(eq(note.id, id)))
    return shown?.body
  })
