import {
  type Transaction as CoreTransaction,
  InvalidArgumentError,
  type Pool,
  type TransactionOptions,
} from '@pg-lifeguard/core'
import { type AdapterPool, adapterPool } from '@pg-lifeguard/core/adapter'
import { Prisma } from '@prisma/client/extension'
import { tellInteractive } from './asking-client.js'
import { adapterOf, insideOf } from './client-internals.js'
import { passOwnErrors } from './own-errors.js'
import { type TransactionClient, withTransaction } from './pool-methods.js'
import type { ExtendedClient } from './pool-of.js'
import { separateBatches } from './separate-batches.js'

/** What the extension adds to a client. */
export interface LifeguardMembers extends ExtendedClient {
  /** `withTransaction(prisma, fn, options)` as a method. */
  $withTransaction<Client extends ExtendedClient, T>(
    this: Client,
    fn: (prisma: TransactionClient<Client>, tx: CoreTransaction) => Promise<T>,
    options?: TransactionOptions,
  ): Promise<T>
}

/** The extension in the form that `$extends` takes and reads its types from. */
export type LifeguardExtension = (client: object) => {
  readonly $extends: {
    readonly extArgs: {
      readonly result: Record<never, never>
      readonly model: Record<never, never>
      readonly query: Record<never, never>
      readonly client: { readonly [Name in keyof LifeguardMembers]: () => LifeguardMembers[Name] }
    }
  }
}

/**
 * The extension that a client on {@link lifeguardAdapter} needs to take part in what the pool carries along: open
 * transactions, deadlines, reads on replicas. It keeps apart what Prisma's client would send together, gives the pool's
 * own errors back as they are, and adds `$withTransaction` and `$pool`.
 *
 * @throws InvalidArgumentError for what is no pool; from `$extends`, when the client is not on an adapter of this pool
 * @example
 * ```ts
 * import { createPool, lifeguard, lifeguardAdapter } from '@pg-lifeguard/prisma'
 * import { PrismaClient } from './generated/prisma/client.js'
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * const prisma = new PrismaClient({ adapter: lifeguardAdapter(pool) }).$extends(lifeguard(pool))
 * await pool.withTransaction(async (tx) => {
 *   await prisma.item.update({ where: { id: 7 }, data: { stock: { decrement: 1 } } })
 *   await tx.query('select pg_notify($1, $2)', ['stock', '7'])
 * })
 * ```
 */
export function lifeguard(pool: Pool): LifeguardExtension {
  const own = adapterPool(pool)
  const extension = Prisma.defineExtension((client) => {
    extend(client, own)
    return client.$extends({
      name: 'lifeguard',
      client: {
        $pool: pool,
        $withTransaction(fn: never, options?: TransactionOptions) {
          return withTransaction(Prisma.getExtensionContext(this) as never, fn, options)
        },
      },
    })
  })
  return extension as unknown as LifeguardExtension
}

/** What was extended already: a client, and with it all that are made from it. */
const extended = new WeakSet<object>()

function extend(client: object, own: AdapterPool): void {
  const adapter = adapterOf(client)
  if (adapter?.pool !== own.pool) {
    const found = adapter === undefined ? 'on another adapter' : 'on another pool'
    throw new InvalidArgumentError(
      'client',
      found,
      'new PrismaClient({ adapter: lifeguardAdapter(pool) }) of this pool',
    )
  }
  const { handler, engine } = insideOf(client)
  if (extended.has(handler)) return
  extended.add(handler)
  separateBatches(handler.dataloader, own)
  passOwnErrors(handler)
  tellInteractive(engine)
}
