import type { KyselyDb } from '../../clients.js'
import type { SaveAndShow } from './note.js'

/** WRONG. The replica that answers may not have got the write yet. */
export const saveAndShowNaively: SaveAndShow<KyselyDb> = async (pool, db, id, body) => {
  await db.updateTable('note').set({ body }).where('id', '=', id).execute()
  const note = await pool.read(() => db.selectFrom('note').select('body').where('id', '=', id).executeTakeFirst())
  return note?.body
}

/** RIGHT. One line of work: its reads show its writes, from a replica that has them, or else from the primary. */
export const saveAndShow: SaveAndShow<KyselyDb> = (pool, db, id, body) =>
  pool.withCausality(undefined, async () => {
    await db.updateTable('note').set({ body }).where('id', '=', id).execute()
    const note = await pool.read(() => db.selectFrom('note').select('body').where('id', '=', id).executeTakeFirst())
    return note?.body
  })
