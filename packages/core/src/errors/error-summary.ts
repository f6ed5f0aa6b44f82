import { classify, type ErrorClass } from './classify.js'
import { errorWithSqlState } from './sqlstate.js'

/**
 * An error without what it may repeat of the data: PostgreSQL puts values into `message` ('invalid input syntax for type
 * integer: "..."') and `detail` ('Key (email)=(...) already exists'). The caller of the statement has the whole error.
 */
export interface ErrorSummary {
  readonly name: string
  /** The SQLSTATE, or the code of Lifeguard or of Node. */
  readonly code: string | undefined
  readonly class: ErrorClass
  /** Only of errors about the connection or the server as a whole, which know nothing of data. */
  readonly message: string | undefined
  /** What a constraint that was violated is called, and its table and schema. */
  readonly constraint: string | undefined
  readonly table: string | undefined
  readonly schema: string | undefined
}

const aboutTheServer: ReadonlySet<ErrorClass> = new Set(['connection', 'unavailable', 'overload', 'configuration'])

/** What may be told of an error to whoever listens. */
export function summaryOf(error: unknown): ErrorSummary {
  const kind = classify(error)
  const found = errorWithSqlState(error)
  const fields = (found?.error ?? {}) as { readonly [field: string]: unknown }
  const { code } = (error ?? {}) as { readonly code?: unknown }
  return {
    name: error instanceof Error ? error.name : typeof error,
    code: found?.state ?? (typeof code === 'string' ? code : undefined),
    class: kind,
    message: error instanceof Error && aboutTheServer.has(kind) ? error.message : undefined,
    constraint: text(fields['constraint']),
    table: text(fields['table']),
    schema: text(fields['schema']),
  }
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
