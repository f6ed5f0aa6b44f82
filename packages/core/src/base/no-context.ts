import { AsyncLocalStorage } from 'node:async_hooks'

/**
 * Runs something outside of every caller's asynchronous context, in that in which this module was loaded. A socket or a
 * timer keeps the context in which it was made, and hands it to all that it calls: one that serves many callers is made in
 * nobody's. https://nodejs.org/api/async_context.html#static-method-asynclocalstoragesnapshot
 */
export const inNoContext: <R>(run: () => R) => R = AsyncLocalStorage.snapshot()
