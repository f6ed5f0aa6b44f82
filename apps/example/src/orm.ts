/** What the demos are written in; all of it runs on the same pool. */
export const orms = ['sql', 'kysely', 'drizzle', 'prisma'] as const

export type Orm = (typeof orms)[number]

/** As a person knows them. */
export const ormNames: Readonly<Record<Orm, string>> = {
  sql: 'raw SQL',
  kysely: 'Kysely',
  drizzle: 'Drizzle',
  prisma: 'Prisma',
}
