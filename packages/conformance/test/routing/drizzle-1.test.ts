import { drizzle } from '@pg-lifeguard/drizzle'
import { defineRelations } from 'drizzle-orm-1'
import { vi } from 'vitest'
import { type Db, item, part } from './drizzle/database.js'
import { drizzleSuite } from './drizzle/suite.js'

// Drizzle 1.0 in the place of 0.45, for the adapter and for the corpus.
vi.mock('drizzle-orm', () => import('drizzle-orm-1'))
vi.mock('drizzle-orm/pg-core', () => import('drizzle-orm-1/pg-core'))
vi.mock('drizzle-orm/node-postgres', () => import('drizzle-orm-1/node-postgres'))

interface Relating {
  readonly item: { readonly id: never }
  readonly part: { readonly itemId: never }
  readonly many: { part(how: { readonly from: never; readonly to: never }): unknown }
  readonly one: { item(how: { readonly from: never; readonly to: never }): unknown }
}

drizzleSuite((pool) => {
  // The types of this file are those of 0.45.
  const relations = defineRelations(
    { item, part } as never,
    ((r: Relating) => ({
      item: { parts: r.many.part({ from: r.item.id, to: r.part.itemId }) },
      part: { item: r.one.item({ from: r.part.itemId, to: r.item.id }) },
    })) as never,
  )
  return drizzle(pool, { relations } as never) as unknown as Db
})
