import { AsyncLocalStorage } from 'node:async_hooks'
import { type TracingChannel, tracingChannel } from 'node:diagnostics_channel'

/**
 * Runs something outside of every caller's asynchronous context, in that in which this module was loaded. A socket or a
 * timer keeps the context in which it was made, and hands it to all that it calls: one that serves many callers is made in
 * nobody's. https://nodejs.org/api/async_context.html#static-method-asynclocalstoragesnapshot
 */
export const inNoContext: <R>(run: () => R) => R = AsyncLocalStorage.snapshot()

/** Runs something in the asynchronous context of a caller. */
export type CallerContext = <R>(run: () => R) => R

/** The asynchronous context of the code that runs now. */
export const captureContext: () => CallerContext = () => AsyncLocalStorage.snapshot()

/** On which statements are traced. */
export const queryTraces: TracingChannel<unknown, object> = tracingChannel('pg-lifeguard:query')

/**
 * The context of the code that runs now, to be kept with what it asks for: a statement that had to wait is sent later, by
 * whoever made room for it. Undefined, and for nothing, while nobody traces.
 * https://nodejs.org/api/async_context.html#static-method-asynclocalstoragesnapshot
 */
export function callerContext(): CallerContext | undefined {
  return queryTraces.hasSubscribers ? captureContext() : undefined
}
