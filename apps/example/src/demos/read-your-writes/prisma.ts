import type { PrismaDb } from '../../clients.js'
import type { SaveAndShow } from './note.js'

/** WRONG. The replica that answers may not have got the write yet. */
export const saveAndShowNaively: SaveAndShow<PrismaDb> = async (pool, prisma, id, body) => {
  await prisma.note.update({ where: { id }, data: { body } })
  const shown = await pool.read(async () => await prisma.note.findFirst({ where: { id } }))
  return shown?.body
}

/** RIGHT. One line of work: its reads show its writes, from a replica that has them, or else from the primary. */
export const saveAndShow: SaveAndShow<PrismaDb> = (pool, prisma, id, body) =>
  pool.withCausality(undefined, async () => {
    await prisma.note.update({ where: { id }, data: { body } })
    const shown = await pool.read(async () => await prisma.note.findFirst({ where: { id } }))
    return shown?.body
  })
