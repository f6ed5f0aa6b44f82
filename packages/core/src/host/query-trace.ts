import { AsyncLocalStorage } from 'node:async_hooks'
import type { TracingChannel } from 'node:diagnostics_channel'
import { type CallerContext, queryTraces } from '../base/caller-context.js'
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

/** A statement that is traced, and the context that its `start` has left. */
interface Running {
  readonly trace: QueryTrace
  readonly context: CallerContext
}

/**
 * Statements on the channels `tracing:pg-lifeguard:query:start`, `end`, `asyncStart`, `asyncEnd` and `error`, as
 * https://nodejs.org/api/diagnostics_channel.html#class-tracingchannel has it for a function that returns a promise.
 * `tracePromise` itself would put the rows and the whole error on the message.
 */
export class QueryTraces {
  readonly #channels = queryTraces as TracingChannel<unknown, QueryTrace>
  readonly #running = new WeakMap<Operation, Running>()

  /**
   * In the context of the caller, with the stores that are bound to `start`. What is published about the statement later
   * has the same, as with `tracePromise`.
   */
  start(statement: Operation, caller: CallerContext, trace: QueryTrace): void {
    const { start, end } = this.#channels
    caller(() =>
      start.runStores(trace, () => {
        this.#running.set(statement, { trace, context: AsyncLocalStorage.snapshot() })
        end.publish(trace)
      }),
    )
  }

  settle(statement: Operation, error: unknown): void {
    const running = this.#running.get(statement)
    if (running === undefined) return
    this.#running.delete(statement)
    const { trace, context } = running
    context(() => this.#settle(statement, trace, error))
  }

  #settle(statement: Operation, trace: QueryTrace, error: unknown): void {
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
