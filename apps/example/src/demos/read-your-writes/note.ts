import type { Pool } from '@pg-lifeguard/core'

/** Saves a note and shows it again, as a request would, through the client of an ORM; gives what the reader sees. */
export type SaveAndShow<Db> = (pool: Pool, db: Db, id: number, body: string) => Promise<string | undefined>
