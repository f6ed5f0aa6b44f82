import type { Generated } from 'kysely'

/** The tables of the ticket office, as Kysely wants to know them. */
export interface OfficeDatabase {
  event: {
    id: Generated<number>
    /** How many may be sold. */
    tickets: number
    /** Grows with every sale; only the optimistic way looks at it. */
    version: Generated<number>
  }
  /** One row for each ticket that was sold: the truth, whatever anybody was told. */
  ticket: {
    id: Generated<number>
    event_id: number
    buyer: number
  }
}
