import { AsyncLocalStorage } from 'node:async_hooks'
import {
  type Transaction as CoreTransaction,
  InvalidArgumentError,
  type IsolationLevel,
  type Pool,
  type TransactionOptions,
} from '@pg-lifeguard/core'
import { adapterPool, assertTransactionOptions, fieldsOf, poolMethods } from '@pg-lifeguard/core/adapter'
import { isolationOf } from './client-internals.js'
import { type ExtendedClient, poolOf } from './pool-of.js'

/** Members of a client that one inside of a transaction does not have. */
type Denied = '$connect' | '$disconnect' | '$on' | '$use' | '$extends'

/** The client that Prisma gives to the callback of a transaction. */
export type TransactionClient<Client> = Omit<Client, Denied>

/** As long as timers go: how long the transaction may take is for the core to say, by `timeoutMs`. */
const longestMs = 2 ** 31 - 1
const unbounded = { timeout: longestMs, maxWait: longestMs }

/**
 * Runs `fn` in a transaction of the pool behind `prisma`: with its retries, its deadlines and its truth about commits.
 * The callback gets Prisma's own transaction client; queries through `prisma`, through another ORM on the same pool or on
 * the pool itself belong to it as well. Inside another transaction of the pool it is a savepoint.
 *
 * Of the client's `transactionOptions` the `isolationLevel` holds here too, unless `options` says another one: inside of
 * a transaction that was begun with a lower one it is refused. Its `timeout` and `maxWait` are for Prisma's own
 * transactions: how long this one may take says `timeoutMs`, and how long it waits for a connection `acquireTimeoutMs` of
 * the pool.
 *
 * @throws as `pool.withTransaction`
 * @example
 * ```ts
 * import { createPool, lifeguard, lifeguardAdapter, withTransaction } from '@pg-lifeguard/prisma'
 * import { PrismaClient } from './generated/prisma/client.js'
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * const prisma = new PrismaClient({ adapter: lifeguardAdapter(pool) }).$extends(lifeguard(pool))
 * await withTransaction(
 *   prisma,
 *   async (tx) => {
 *     await tx.item.update({ where: { id: 1 }, data: { stock: { decrement: 1 } } })
 *     await tx.item.update({ where: { id: 2 }, data: { stock: { increment: 1 } } })
 *   },
 *   { isolation: 'serializable', timeoutMs: 2_000 },
 * )
 * ```
 */
export async function withTransaction<Client extends ExtendedClient, T>(
  prisma: Client,
  fn: (prisma: TransactionClient<Client>, tx: CoreTransaction) => Promise<T>,
  options: TransactionOptions = {},
): Promise<T> {
  const pool = poolOf(prisma)
  assertTransactionOptions(options)
  const isInTransaction = !('$connect' in prisma)
  if (isInTransaction && pool.currentTransaction === undefined) {
    throw new InvalidArgumentError(
      'prisma',
      "the client of a transaction of Prisma's own",
      'the client itself, or that of withTransaction(): what began outside of the pool cannot be nested by it',
    )
  }
  // Inside of its own transaction client a nested one is the same: its queries go to the innermost level.
  if (isInTransaction) return await pool.withTransaction((tx) => fn(prisma, tx), options)
  const client = prisma as unknown as Interactive<Client>
  const asked = options.isolation
  return await chosen.run(asked === undefined ? chosen.getStore() : pool, () =>
    pool.withTransaction(
      (tx) => adapterPool(pool).adopting(tx, () => client.$transaction((inside) => fn(inside, tx), unbounded)),
      withIsolation(options, asked ?? defaultIsolation(prisma, pool)),
    ),
  )
}

/** The pool around whose transaction somebody has said which isolation it is to have, in place of the client's. */
const chosen = new AsyncLocalStorage<Pool | undefined>()

function withIsolation(options: TransactionOptions, isolation: IsolationLevel | undefined): TransactionOptions {
  return isolation === undefined ? options : { ...fieldsOf(options), isolation }
}

/** From lowest to highest. */
const levels: readonly IsolationLevel[] = ['read uncommitted', 'read committed', 'repeatable read', 'serializable']

/** The level of the client, for a transaction of which none is said. */
function defaultIsolation(client: object, pool: Pool): IsolationLevel | undefined {
  const level = isolationOf(client)
  if (level === undefined || pool.currentTransaction === undefined) return level
  // A savepoint has the level of the transaction around it, which may be higher, or have been chosen by the caller.
  const isEnough = levels.indexOf(adapterPool(pool).openIsolation ?? 'read committed') >= levels.indexOf(level)
  return isEnough || chosen.getStore() === pool ? undefined : level
}

interface Interactive<Client> {
  $transaction<T>(fn: (inside: TransactionClient<Client>) => Promise<T>, options: typeof unbounded): Promise<T>
}

/** The other methods of the pool, as functions of a client. */
const methods = poolMethods(poolOf)

/**
 * Runs `fn` while holding the advisory lock of this name, over all processes that use the database.
 *
 * @throws as `pool.withLock`
 * @example
 * ```ts
 * import { createPool, lifeguard, lifeguardAdapter, withLock } from '@pg-lifeguard/prisma'
 * import { PrismaClient } from './generated/prisma/client.js'
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * const prisma = new PrismaClient({ adapter: lifeguardAdapter(pool) }).$extends(lifeguard(pool))
 * await withLock(prisma, 'invoice:42', async ({ signal }) => {
 *   signal.throwIfAborted()
 *   await prisma.invoice.update({ where: { id: 42 }, data: { sent: true } })
 * }, { waitMs: 2_000 })
 * ```
 */
export const withLock = methods.withLock

/**
 * Like `withLock`, but does not wait: `acquired` is false when somebody else holds the lock.
 *
 * @throws as `pool.tryWithLock`
 * @example
 * ```ts
 * import { createPool, lifeguard, lifeguardAdapter, tryWithLock } from '@pg-lifeguard/prisma'
 * import { PrismaClient } from './generated/prisma/client.js'
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * const prisma = new PrismaClient({ adapter: lifeguardAdapter(pool) }).$extends(lifeguard(pool))
 * const result = await tryWithLock(prisma, 'reminders', () =>
 *   prisma.invoice.updateMany({ where: { sent: false }, data: { sent: true } }),
 * )
 * if (!result.acquired) console.log('somebody is at it already')
 * ```
 */
export const tryWithLock = methods.tryWithLock

/**
 * Runs `fn` while holding one of `permits` places of this name, over all processes that use the database.
 *
 * @throws as `pool.withSemaphore`
 * @example
 * ```ts
 * import { createPool, lifeguard, lifeguardAdapter, withSemaphore } from '@pg-lifeguard/prisma'
 * import { PrismaClient } from './generated/prisma/client.js'
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * const prisma = new PrismaClient({ adapter: lifeguardAdapter(pool) }).$extends(lifeguard(pool))
 * const rows = await withSemaphore(prisma, 'export', 3, () => prisma.invoice.findMany())
 * console.log(rows.length)
 * ```
 */
export const withSemaphore = methods.withSemaphore

/**
 * Runs `fn` again for as long as it throws VersionConflictError, a few times at most.
 *
 * @throws as `pool.withOptimisticRetry`
 * @example
 * ```ts
 * import { createPool, lifeguard, lifeguardAdapter, updateVersioned, withOptimisticRetry } from '@pg-lifeguard/prisma'
 * import { PrismaClient } from './generated/prisma/client.js'
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * const prisma = new PrismaClient({ adapter: lifeguardAdapter(pool) }).$extends(lifeguard(pool))
 * await withOptimisticRetry(prisma, async () => {
 *   const { id, version, stock } = await prisma.item.findUniqueOrThrow({ where: { id: 7 } })
 *   await updateVersioned(prisma.item, { id, version }, { stock: stock - 1 })
 * })
 * ```
 */
export const withOptimisticRetry = methods.withOptimisticRetry
