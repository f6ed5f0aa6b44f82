import type { Pool } from '@pg-lifeguard/core'

/** WRONG. The replica that answers may not have got the write yet. */
export async function saveAndShowNaively(pool: Pool, id: number, body: string): Promise<string | undefined> {
  await pool.query('update note set body = $2 where id = $1', [id, body])
  const { rows } = await pool.read(() => pool.query<{ body: string }>('select body from note where id = $1', [id]))
  return rows[0]?.body
}

/** RIGHT. One line of work: its reads show its writes, from a replica that has them, or else from the primary. */
export async function saveAndShow(pool: Pool, id: number, body: string): Promise<string | undefined> {
  return await pool.withCausality(undefined, async () => {
    await pool.query('update note set body = $2 where id = $1', [id, body])
    const { rows } = await pool.read(() => pool.query<{ body: string }>('select body from note where id = $1', [id]))
    return rows[0]?.body
  })
}
