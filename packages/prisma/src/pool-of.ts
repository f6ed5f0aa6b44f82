import { InvalidOptionError, type Pool } from '@pg-lifeguard/core'
import { LifeguardAdapterFactory } from './lifeguard-adapter.js'

/** The private side of a client that shows what it runs on; the same in all of Prisma 7. */
interface ClientInternals {
  readonly _engineConfig?: { readonly adapter?: unknown }
}

/** The adapter that a client was made with, if it is one of ours. */
export function adapterOf(prisma: object): LifeguardAdapterFactory | undefined {
  const adapter = (prisma as ClientInternals)._engineConfig?.adapter
  return adapter instanceof LifeguardAdapterFactory ? adapter : undefined
}

/**
 * The pool behind a Prisma client that has the extension; the clients of its transactions have the same one.
 *
 * @throws InvalidOptionError when the client has no extension
 */
export function poolOf(prisma: { readonly $pool: Pool }): Pool {
  const pool = (prisma as { readonly $pool?: Pool } | undefined)?.$pool
  if (pool !== undefined) return pool
  throw new InvalidOptionError('prisma', 'without its extension', 'a client with .$extends(lifeguard(pool))')
}
