import { AsyncLocalStorage } from 'node:async_hooks'

/** What runs the requests of a client on its adapter. */
export interface Engine {
  /** Begins and ends the transactions of `prisma.$transaction(fn)`. */
  transaction(action: string, ...rest: unknown[]): Promise<unknown>
}

const starting = new AsyncLocalStorage<true>()

/**
 * Whether the transaction that begins now is one of `prisma.$transaction(fn)`. Any other, of a nested write or an array, is
 * begun and ended by Prisma's engine alone, and can wait for its turn beside others.
 */
export function isInteractive(): boolean {
  return starting.getStore() === true
}

/** Makes the engine of a client tell when it begins an interactive transaction. */
export function tellInteractive(engine: Engine): void {
  const transaction = engine.transaction.bind(engine)
  engine.transaction = (action, ...rest) =>
    action === 'start' ? starting.run(true, () => transaction(action, ...rest)) : transaction(action, ...rest)
}
