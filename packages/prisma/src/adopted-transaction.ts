import { AsyncLocalStorage } from 'node:async_hooks'
import type { Pool, Transaction } from '@pg-lifeguard/core'

/** A transaction of the pool that the next `$transaction()` in this context is to be, in place of a new one. */
interface Adoption {
  readonly pool: Pool
  readonly transaction: Transaction
  taken: boolean
}

const storage = new AsyncLocalStorage<Adoption>()

/**
 * Runs `fn`, in which one `$transaction()` stands for `transaction`: so Prisma makes its own transaction client, with
 * its extensions and types, around a transaction that the core begins, retries and commits.
 */
export function adopting<T>(pool: Pool, transaction: Transaction, fn: () => Promise<T>): Promise<T> {
  return storage.run({ pool, transaction, taken: false }, fn)
}

/** The transaction to adopt, once; undefined when Prisma is to begin one of its own. */
export function takeAdopted(pool: Pool): Transaction | undefined {
  const adoption = storage.getStore()
  if (adoption === undefined || adoption.taken || adoption.pool !== pool) return undefined
  adoption.taken = true
  return adoption.transaction
}
