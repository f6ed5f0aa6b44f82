import { AsyncLocalStorage } from 'node:async_hooks'

/** What runs the requests of a client on its adapter. */
export interface Engine {
  /** Begins and ends the transactions of `prisma.$transaction(fn)`, and of several requests that come at once. */
  transaction(action: string, ...rest: unknown[]): Promise<unknown>
}

/**
 * On whose behalf the adapter is asked, in what a client with the extension does: an adapter may be shared with clients
 * that have none, and Prisma says nothing of a client to its adapter.
 *
 * - `interactive`: the transaction that begins now is one of `prisma.$transaction(fn)`, with code of the user's inside.
 * - `engine`: anything else. What is begun there, for a nested write, an array, or the calls of one tick, the engine
 *   begins and ends alone, and it can wait for its turn beside others.
 */
type Asking = 'interactive' | 'engine'

const asking = new AsyncLocalStorage<Asking>()

/** Whether a client with the extension asks, inside of something that the pool carries along. */
export function isFromExtended(): boolean {
  return asking.getStore() !== undefined
}

/** Whether the transaction that begins now has a callback of the user's. */
export function isInteractive(): boolean {
  return asking.getStore() === 'interactive'
}

/** Runs requests of a client with the extension. */
export function askingFromEngine<T>(fn: () => T): T {
  return asking.run('engine', fn)
}

/** Makes the engine of a client tell when it begins an interactive transaction. */
export function tellInteractive(engine: Engine): void {
  const transaction = engine.transaction.bind(engine)
  engine.transaction = (action, ...rest) =>
    // Of several requests that it was given at once the engine makes a transaction in the same way, by itself.
    action === 'start' && asking.getStore() === undefined
      ? asking.run('interactive', () => transaction(action, ...rest))
      : transaction(action, ...rest)
}
