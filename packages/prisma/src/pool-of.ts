import { InvalidArgumentError, type Pool } from '@pg-lifeguard/core'

/** A client that has the extension; the clients of its transactions have it too. */
export interface ExtendedClient {
  readonly $pool: Pool
}

/**
 * The pool behind a Prisma client that has the extension; the clients of its transactions have the same one.
 *
 * @throws InvalidArgumentError when the client has no extension
 */
export function poolOf(prisma: ExtendedClient): Pool {
  const pool = (prisma as Partial<ExtendedClient> | undefined)?.$pool
  if (pool !== undefined) return pool
  throw new InvalidArgumentError('prisma', 'without its extension', 'a client with .$extends(lifeguard(pool))')
}
