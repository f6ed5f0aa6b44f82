import type { Ambient } from './ambient.js'
import type { Transaction } from './transaction.js'

/**
 * Runs `fn`, in which one transaction that an ORM begins stands for `transaction`: so the ORM makes its own transaction
 * object, with its types and all that it adds, around a transaction that the core begins, retries and commits.
 */
export function adopting<T>(ambient: Ambient, transaction: Transaction, fn: () => Promise<T>): Promise<T> {
  return ambient.run({ adoption: { transaction, taken: false } }, fn)
}

/** The transaction to adopt, once; undefined when the ORM is to begin one of its own. */
export function takeAdopted(ambient: Ambient): Transaction | undefined {
  const adoption = ambient.current?.adoption
  if (adoption === undefined || adoption.taken) return undefined
  adoption.taken = true
  return adoption.transaction
}
