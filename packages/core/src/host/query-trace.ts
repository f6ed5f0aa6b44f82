import { type TracingChannel, tracingChannel } from 'node:diagnostics_channel'
import { type ErrorSummary, summaryOf } from '../errors/error-summary.js'
import type { Operation } from '../wire/operation.js'

/** The object that all messages about one statement share. Whoever traces may put a span on it. */
export interface QueryTrace {
  readonly pool: string
  readonly host: string
  readonly role: string
  readonly pid: number
  /** The text as it is sent; parameters are never told. */
  readonly text: string
  readonly name: string | undefined
  /** There from `asyncStart` on. */
  command?: string | undefined
  rowCount?: number | null | undefined
  /** There at `error`, and from then on. */
  error?: ErrorSummary
}

/**
 * Statements on the channels `tracing:pg-lifeguard:query:start`, `end`, `asyncStart`, `asyncEnd` and `error`, as
 * https://nodejs.org/api/diagnostics_channel.html#class-tracingchannel has it for a function that returns a promise.
 * `tracePromise` itself would put the rows and the whole error on the message.
 */
export class QueryTraces {
  readonly #channels: TracingChannel<unknown, QueryTrace> = tracingChannel('pg-lifeguard:query')
  readonly #running = new WeakMap<Operation, QueryTrace>()

  get isHeard(): boolean {
    return this.#channels.hasSubscribers
  }

  /** Between `start` and `end` is what the caller does in the same turn; stores bound to `start` hold meanwhile. */
  start(statement: Operation, trace: QueryTrace): void {
    this.#running.set(statement, trace)
    this.#channels.start.runStores(trace, () => this.#channels.end.publish(trace))
  }

  settle(statement: Operation, error: unknown): void {
    const trace = this.#running.get(statement)
    if (trace === undefined) return
    this.#running.delete(statement)
    if (error !== undefined) {
      trace.error = summaryOf(error)
      this.#channels.error.publish(trace)
    } else {
      const { command, rowCount } = outcomeOf(statement)
      trace.command = command
      trace.rowCount = rowCount
    }
    this.#channels.asyncStart.publish(trace)
    this.#channels.asyncEnd.publish(trace)
  }
}

/** Command and count of the last of its results. */
export function outcomeOf(statement: Operation): { command: string | undefined; rowCount: number | null | undefined } {
  const { result } = statement
  const last = Array.isArray(result) ? (result as (typeof result)[]).at(-1) : result
  return { command: last?.command, rowCount: last?.rowCount }
}
