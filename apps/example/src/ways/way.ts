/** What a buyer gets. */
export interface Answer {
  /** `false` is 'sold out'. */
  readonly sold: boolean
  /** How often the work was done until it held, the first time included. */
  readonly attempts: number
}

/** One way to sell a ticket, on a pool or through the client of an ORM on it. */
export type Buy<Db> = (db: Db, eventId: number, buyer: number) => Promise<Answer>
