import type { StatementCommand } from '../connection/command.js'
import { nativeQuery } from '../connection/pg-classes.js'
import type { Submittable } from '../connection/pg-internals.js'
import type { QueryResult } from '../connection/result.js'
import type { StatementConfig } from '../connection/statement.js'
import { nextTick } from '../deadline/clock.js'
import { OperationTimeoutError } from '../errors/operation-errors.js'
import { AcquireTimeoutError } from '../errors/pool-errors.js'
import { withCallersStack } from '../query/queryable.js'

/**
 * An error as a caller of the facade gets it: its stack leads to the caller, and a time that is over has the very message of
 * `pg`, which programs compare. What the pool says of it begins the stack; class, code, cause and fields stay what they are.
 *
 * @param queryTimeout that of the query, which `pg` has words for; not so for a deadline around it
 */
export function inWordsOfPg(error: unknown, queryTimeout?: number): unknown {
  const words = wordsFor(error, queryTimeout)
  if (words === undefined) return withCallersStack(error)
  const said = error as Error
  // It is on its way through the client to the pool, and has been said.
  if (said.message === words) return said
  said.message = `${words}: ${said.message}`
  withCallersStack(said)
  // V8 writes it when it is read first, with the message of that time.
  void said.stack
  said.message = words
  return said
}

/** The same for a submittable, to which failures are reported where no caller is on the stack; undefined: as they are. */
export function reportedInWordsOfPg(queryTimeout: number | undefined): ((error: unknown) => unknown) | undefined {
  if (queryTimeout === undefined) return undefined
  return (error) => (wordsFor(error, queryTimeout) === undefined ? error : inWordsOfPg(error, queryTimeout))
}

function wordsFor(error: unknown, queryTimeout: number | undefined): string | undefined {
  if (error instanceof AcquireTimeoutError) return 'timeout exceeded when trying to connect'
  return queryTimeout !== undefined && error instanceof OperationTimeoutError ? 'Query read timeout' : undefined
}

/** What a callback of `pg` gets. */
export type PgCallback = (error: unknown, result?: unknown) => void

/** One call of `query` in the forms that `pg` takes. */
export type PgQueryCall =
  | { readonly kind: 'submittable'; readonly submittable: Submittable; readonly timeoutMs: number | undefined }
  | PgStatementCall

/** A call that asks for a statement: the command, as it is executed, with what only `pg` has. */
export interface PgStatementCall extends StatementCommand {
  readonly callback: PgCallback | undefined
  /** `pg`'s own option, per call: here the server stops working on it, and the connection stays usable. */
  readonly timeoutMs: number | undefined
  /** Set when it asks for something that only a query of `pg` itself can do. */
  readonly native: NativeCall | undefined
}

/** Makes a query of `pg`, and the promise of what it gives. */
export type NativeCall = () => { readonly submittable: Submittable; readonly result: Promise<QueryResult> }

/** The options of a query of `pg` that none of ours has. */
const nativeOnly = ['binary', 'rows', 'portal', 'queryMode'] as const

/** @throws TypeError as `pg` does, for what is no query at all */
export function pgQueryCall(query: unknown, values: unknown, callback: unknown): PgQueryCall {
  if (query === null || query === undefined) throw new TypeError('Client was passed a null or undefined query')
  if (typeof (query as Submittable).submit === 'function') {
    const submittable = query as Submittable
    if (!submittable.callback) {
      const given = typeof values === 'function' ? values : callback
      if (given) submittable.callback = given
    }
    return { kind: 'submittable', submittable, timeoutMs: queryTimeoutOf(submittable) }
  }
  const given = (typeof query === 'object' ? query : { text: query }) as Readonly<Record<string, unknown>>
  const done = typeof values === 'function' ? values : (callback ?? given['callback'])
  if (done !== undefined && done !== null && typeof done !== 'function') {
    throw new TypeError('callback is not a function')
  }
  const parameters = typeof values === 'function' ? undefined : values
  const config = {
    ...given,
    text: given['text'] ?? (given['name'] === undefined ? given['text'] : ''),
    values: parameters ?? given['values'],
  } as unknown as StatementConfig
  const isNative = typeof config.text !== 'string' || nativeOnly.some((name) => Boolean(given[name]))
  return {
    kind: 'statement',
    config,
    callback: (done ?? undefined) as PgCallback | undefined,
    timeoutMs: queryTimeoutOf(given),
    native: isNative ? () => nativeCall(config) : undefined,
  }
}

/** `pg`'s option of a query, or of all queries of a pool; as with `pg`, 0 is none. */
export function queryTimeoutOf(given: { readonly query_timeout?: unknown }): number | undefined {
  const { query_timeout: timeout } = given
  return typeof timeout === 'number' && timeout > 0 ? timeout : undefined
}

function nativeCall(config: StatementConfig): ReturnType<NativeCall> {
  const { promise, resolve, reject } = Promise.withResolvers<QueryResult>()
  const { text, values, name, rowMode, types, ...rest } = config
  const submittable = nativeQuery(
    { ...rest, ...defined({ text, values, name, rowMode, types }), callback: undefined },
    (error, result) => {
      if (error === null || error === undefined) resolve(result)
      else reject(error)
    },
  )
  return { submittable, result: promise }
}

function defined(fields: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

/**
 * Hands the outcome to a callback, outside of any promise: what it throws is thrown, as with `pg`.
 *
 * @param noError what stands for the error when there is none: null from a client of `pg`, undefined from its pool
 */
export function callBack(promise: Promise<unknown>, callback: PgCallback, noError: null | undefined): void {
  promise.then(
    (result) => nextTick(callback, noError, result),
    (error: unknown) => nextTick(callback, error),
  )
}
