import { nextTick } from '../base/own-timers.js'
import type { Submittable } from './foreign-statement.js'
import { nativeQuery } from './pg-shapes.js'
import type { QueryResult } from './query-result.js'
import type { StatementConfig } from './statement.js'

/** What a callback of `pg` gets. */
export type PgCallback = (error: unknown, result?: unknown) => void

/** One call of `query` in the forms that `pg` takes. */
export type PgQueryCall =
  | { readonly kind: 'submittable'; readonly submittable: Submittable; readonly timeoutMs: number | undefined }
  | {
      readonly kind: 'statement'
      readonly config: StatementConfig
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
