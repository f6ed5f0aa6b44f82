import type { Generated } from 'kysely'

/** The tables of all demos, as Kysely wants to know them. */
export interface Tables {
  event: {
    id: Generated<number>
    /** How many may be sold. */
    tickets: number
    /** Grows with every sale; only the optimistic way looks at it. */
    version: Generated<number>
  }
  /** One row for each ticket that was sold: this counts, whatever was reported. */
  ticket: { id: Generated<number>; event_id: number; buyer: number }
  purchase: { id: Generated<number>; customer: string }
  note: { id: number; body: string }
  report: { name: string; body: string; timeline: number; xid: string }
  payment: { id: Generated<number>; order_id: number; cents: number }
  contact: { id: Generated<number>; tenant_id: number; name: string }
  measurement: { id: number; sensor: string; value: number }
}
