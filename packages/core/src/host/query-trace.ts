import { AsyncLocalStorage } from 'node:async_hooks'
import type { TracingChannel } from 'node:diagnostics_channel'
import { type CallerContext, queryTraces } from '../base/caller-context.js'
import { type ErrorSummary, summaryOf } from '../errors/error-summary.js'
import type { Reported } from '../wire/reported.js'

/** The object that all messages about one statement share. Whoever traces may put a span on it. */
export interface QueryTrace {
  readonly pool: string
  readonly host: string
  readonly role: string
  readonly pid: number
  /** The text as it is sent; values are never reported. Of a batch its different texts, joined by `; `. */
  readonly text: string
  readonly name: string | undefined
  /** How many statements a batch has; undefined for what is no batch. */
  readonly batchSize: number | undefined
  /** There from `asyncStart` on. */
  command?: string | undefined
  rowCount?: number | null | undefined
  /** Milliseconds until its first rows were here: of a stream, a cursor, a COPY TO. There from `asyncStart` on. */
  firstRowMs?: number | undefined
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
  readonly #running = new WeakMap<Reported, Running>()

  /**
   * In the context of the caller, with the stores that are bound to `start`. What is published about the statement later
   * has the same, as with `tracePromise`.
   */
  start(statement: Reported, caller: CallerContext, trace: QueryTrace): void {
    // The pieces of a stream are one statement.
    if (this.#running.has(statement)) return
    const { start, end } = this.#channels
    caller(() =>
      start.runStores(trace, () => {
        this.#running.set(statement, { trace, context: AsyncLocalStorage.snapshot() })
        end.publish(trace)
      }),
    )
  }

  settle(statement: Reported, error: unknown): void {
    const running = this.#running.get(statement)
    if (running === undefined) return
    this.#running.delete(statement)
    const { trace, context } = running
    context(() => this.#settle(statement, trace, error))
  }

  #settle(statement: Reported, trace: QueryTrace, error: unknown): void {
    if (error !== undefined) {
      trace.error = summaryOf(error)
      this.#channels.error.publish(trace)
    } else {
      const { command, rowCount } = statement.reportedOutcome
      trace.command = command
      trace.rowCount = rowCount
    }
    if (statement.firstRowMs !== undefined) trace.firstRowMs = statement.firstRowMs
    this.#channels.asyncStart.publish(trace)
    this.#channels.asyncEnd.publish(trace)
  }
}
