import type { Kysely } from 'kysely'
import type { OfficeDatabase } from '../office-database.js'

/** What a buyer is told. */
export interface Answer {
  /** `false` is 'sold out'. */
  readonly sold: boolean
  /** How often the work was done until it held, the first time included. */
  readonly attempts: number
}

/** One way to sell a ticket. */
export type Buy = (db: Kysely<OfficeDatabase>, eventId: number, buyer: number) => Promise<Answer>
