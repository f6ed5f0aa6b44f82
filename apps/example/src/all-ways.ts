import type { Clients } from './clients.js'
import type { Orm } from './orm.js'
import type { WayName } from './way-names.js'
import { buyForUpdate as drizzleForUpdate } from './ways/drizzle/for-update.js'
import { buyWithLock as drizzleWithLock } from './ways/drizzle/lock.js'
import { buyNaively as drizzleNaively } from './ways/drizzle/naive.js'
import { buyOptimistically as drizzleOptimistically } from './ways/drizzle/optimistic.js'
import { buySerializable as drizzleSerializable } from './ways/drizzle/serializable.js'
import { buyForUpdate as kyselyForUpdate } from './ways/kysely/for-update.js'
import { buyWithLock as kyselyWithLock } from './ways/kysely/lock.js'
import { buyNaively as kyselyNaively } from './ways/kysely/naive.js'
import { buyOptimistically as kyselyOptimistically } from './ways/kysely/optimistic.js'
import { buySerializable as kyselySerializable } from './ways/kysely/serializable.js'
import { buyForUpdate as prismaForUpdate } from './ways/prisma/for-update.js'
import { buyWithLock as prismaWithLock } from './ways/prisma/lock.js'
import { buyNaively as prismaNaively } from './ways/prisma/naive.js'
import { buyOptimistically as prismaOptimistically } from './ways/prisma/optimistic.js'
import { buySerializable as prismaSerializable } from './ways/prisma/serializable.js'
import { buyForUpdate as sqlForUpdate } from './ways/sql/for-update.js'
import { buyWithLock as sqlWithLock } from './ways/sql/lock.js'
import { buyNaively as sqlNaively } from './ways/sql/naive.js'
import { buyOptimistically as sqlOptimistically } from './ways/sql/optimistic.js'
import { buySerializable as sqlSerializable } from './ways/sql/serializable.js'
import type { Answer } from './ways/way.js'

/** One way to sell, on whichever of the clients it is written for. */
export type Sell = (clients: Clients, eventId: number, buyer: number) => Promise<Answer>

/** A way to sell, and what there is to say about it. */
export interface Way {
  /** As `--way` takes it; the file in ways/ has the same name. */
  readonly name: WayName
  /** The same way in raw SQL and through each ORM. */
  readonly buy: Readonly<Record<Orm, Sell>>
  /** The naive way has to oversell, or this demo shows nothing; all others must not. */
  readonly oversells: boolean
  /** What happened, in one sentence for a person. */
  readonly lesson: (figures: { readonly oversold: number; readonly retries: number }) => string
}

/** In the order in which they are shown. */
export const allWays: readonly Way[] = [
  {
    name: 'naive',
    buy: {
      sql: ({ pool }, ...sale) => sqlNaively(pool, ...sale),
      kysely: ({ kysely }, ...sale) => kyselyNaively(kysely, ...sale),
      drizzle: ({ drizzle }, ...sale) => drizzleNaively(drizzle, ...sale),
      prisma: ({ prisma }, ...sale) => prismaNaively(prisma, ...sale),
    },
    oversells: true,
    lesson: ({ oversold }) =>
      `counted, then inserted: ${count(oversold, 'ticket that does', 'tickets that do')} not exist.`,
  },
  {
    name: 'for-update',
    buy: {
      sql: ({ pool }, ...sale) => sqlForUpdate(pool, ...sale),
      kysely: ({ kysely }, ...sale) => kyselyForUpdate(kysely, ...sale),
      drizzle: ({ drizzle }, ...sale) => drizzleForUpdate(drizzle, ...sale),
      prisma: ({ prisma }, ...sale) => prismaForUpdate(prisma, ...sale),
    },
    oversells: false,
    lesson: () => "SELECT ... FOR UPDATE: buyers take turns at the event's row.",
  },
  {
    name: 'lock',
    buy: {
      sql: ({ pool }, ...sale) => sqlWithLock(pool, ...sale),
      kysely: ({ kysely }, ...sale) => kyselyWithLock(kysely, ...sale),
      drizzle: ({ drizzle }, ...sale) => drizzleWithLock(drizzle, ...sale),
      prisma: ({ prisma }, ...sale) => prismaWithLock(prisma, ...sale),
    },
    oversells: false,
    lesson: () => 'an advisory lock by name: it can guard payments and mails, too.',
  },
  {
    name: 'serializable',
    buy: {
      sql: ({ pool }, ...sale) => sqlSerializable(pool, ...sale),
      kysely: ({ kysely }, ...sale) => kyselySerializable(kysely, ...sale),
      drizzle: ({ drizzle }, ...sale) => drizzleSerializable(drizzle, ...sale),
      prisma: ({ prisma }, ...sale) => prismaSerializable(prisma, ...sale),
    },
    oversells: false,
    lesson: ({ retries }) => `PostgreSQL rolled back ${count(retries, 'conflict', 'conflicts')}; Lifeguard retried.`,
  },
  {
    name: 'optimistic',
    buy: {
      sql: ({ pool }, ...sale) => sqlOptimistically(pool, ...sale),
      kysely: ({ kysely }, ...sale) => kyselyOptimistically(kysely, ...sale),
      drizzle: ({ drizzle }, ...sale) => drizzleOptimistically(drizzle, ...sale),
      prisma: ({ prisma }, ...sale) => prismaOptimistically(prisma, ...sale),
    },
    oversells: false,
    lesson: ({ retries }) => `a version column found ${count(retries, 'conflict', 'conflicts')}; Lifeguard retried.`,
  },
]

function count(number: number, one: string, many: string): string {
  return `${number.toLocaleString('en')} ${number === 1 ? one : many}`
}
