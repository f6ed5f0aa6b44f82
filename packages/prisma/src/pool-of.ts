import { InvalidOptionError, type Pool } from '@pg-lifeguard/core'

/** The pool behind a Prisma client that has the extension; the clients of its transactions have the same one. */
export function poolOf(prisma: { readonly $pool: Pool }): Pool {
  const pool = (prisma as { readonly $pool?: Pool } | undefined)?.$pool
  if (pool !== undefined) return pool
  throw new InvalidOptionError('prisma', 'without its extension', 'a client with .$extends(lifeguard(pool))')
}
