import type { Generated, Kysely } from 'kysely'
import { routes } from '../../../src/index.js'

interface Named {
  id: number
  name: string
}

/** What `shop` makes, as types for Kysely. */
interface Shop {
  item: Named & { stock: Generated<number>; version: Generated<number> }
  part: { id: number; item_id: number }
  keyword: { order: number; update: string | null; delete: boolean | null; for: string | null; into: number | null }
  stocked: Named
  numbering: { number: string }
  visit: { id: number }
}

export type Db = Kysely<Shop>

export const { replica, primary } = routes<Db>()
