import { classify, LifeguardError, sqlStateOf } from '@pg-lifeguard/core'
import { inheritOrigin } from '@pg-lifeguard/core/adapter'
import { DriverAdapterError, type MappedError } from '@prisma/driver-adapter-utils'

/** What PostgreSQL says beside its message. https://www.postgresql.org/docs/18/protocol-error-fields.html */
interface ServerError extends Error {
  readonly severity?: string
  readonly detail?: string
  readonly hint?: string
  readonly table?: string
  readonly column?: string
  readonly constraint?: string
  readonly routine?: string
}

/**
 * An error in the form in which Prisma's engine takes it: what the server said becomes one of Prisma's kinds with the
 * SQLSTATE beside it; what the pool itself decided stays the error that it is.
 */
export function asDriverError(error: unknown): unknown {
  if (LifeguardError.isInstance(error)) return noted(error)
  const state = error instanceof Error ? sqlStateOf(error) : undefined
  if (!(error instanceof Error)) return error
  // Of what the server did not say, a certificate that is not trusted, or no TLS at all, is no matter of the pool's.
  if (state === undefined) return classify(error, 'connect') === 'configuration' ? tlsError(error) : error
  const server: ServerError = error
  const { message, severity, routine, detail, column, hint } = server
  const mapped = kinds[state]?.(server) ?? { kind: 'postgres', code: state, severity, message, detail, column, hint }
  // Severity and routine are for classify(), which tells a dead session or a standby from them.
  const noticed = { originalCode: state, originalMessage: message, severity: severity ?? 'N/A', routine }
  inheritOrigin(mapped, error)
  return new DriverAdapterError(Object.assign(mapped, noticed) as MappedError)
}

function tlsError({ message: reason }: Error): DriverAdapterError {
  return new DriverAdapterError({ kind: 'TlsConnectionError', reason })
}

/** Runs `fn`; what it throws comes out as a driver error. */
export async function withDriverErrors<T>(fn: () => Promise<T>): Promise<T> {
  try {
    return await fn()
  } catch (error) {
    throw asDriverError(error)
  }
}

/** The pool's own error behind one that came out of Prisma's client; any other error as it is. */
export function poolsOwnError(error: unknown): unknown {
  const { meta } = (error ?? {}) as { readonly meta?: { readonly driverAdapterError?: Note } }
  return meta?.driverAdapterError?.lifeguard ?? error
}

interface Note {
  readonly lifeguard?: LifeguardError
  readonly cause: unknown
}

/**
 * Prisma's client makes an error of its own out of any error that has a `code`, and keeps no more of it than `code`,
 * `message` and `meta`. So the error goes into its own `meta`, and comes back out of that.
 */
function noted(error: LifeguardError): LifeguardError {
  if (!('meta' in error) && Object.isExtensible(error)) {
    const note: Note = { lifeguard: error, cause: error.cause }
    Object.defineProperty(error, 'meta', { value: { driverAdapterError: note } })
  }
  return error
}

/** One of Prisma's kinds, in which what the server did not say is undefined. */
type Kind = MappedError extends infer Mapped ? { readonly [Field in keyof Mapped]?: Mapped[Field] | undefined } : never

/**
 * Prisma's own table, of which code has a kind of its own; what the kinds mean to Prisma's users (P2002 and so on) is
 * said at https://www.prisma.io/docs/orm/reference/error-reference. It decides nothing here: classify() does.
 */
const kinds: Readonly<Record<string, (error: ServerError) => Kind>> = {
  '22001': ({ column }) => ({ kind: 'LengthMismatch', column }),
  '22003': ({ message: cause }) => ({ kind: 'ValueOutOfRange', cause }),
  '22P02': ({ message }) => ({ kind: 'InvalidInputValue', message }),
  '23001': (error) => ({ kind: 'RestrictViolation', constraint: fields(error) ?? index(error) }),
  '23502': (error) => ({ kind: 'NullConstraintViolation', constraint: fields(error) ?? key(error) }),
  '23503': (error) => ({ kind: 'ForeignKeyConstraintViolation', constraint: fields(error) ?? index(error) }),
  '23505': (error) => ({
    kind: 'UniqueConstraintViolation',
    constraint: index(error) ?? key(error),
    table: error.table,
  }),
  '28000': ({ message }) => ({ kind: 'DatabaseAccessDenied', db: /database "([^"]+)"/.exec(message)?.[1] }),
  '28P01': ({ message }) => ({ kind: 'AuthenticationFailed', user: firstName(message) }),
  '3D000': ({ message }) => ({ kind: 'DatabaseDoesNotExist', db: firstName(message) }),
  '40001': () => ({ kind: 'TransactionWriteConflict' }),
  '40P01': () => ({ kind: 'TransactionWriteConflict' }),
  '42703': ({ message }) => ({ kind: 'ColumnNotFound', column: missingColumn(message) }),
  '42P01': ({ message }) => ({ kind: 'TableDoesNotExist', table: firstName(message) }),
  '42P04': ({ message }) => ({ kind: 'DatabaseAlreadyExists', db: firstName(message) }),
  '53300': ({ message: cause }) => ({ kind: 'TooManyConnections', cause }),
}

function fields({ column }: ServerError): { fields: string[] } | undefined {
  return column === undefined ? undefined : { fields: [column] }
}

function index({ constraint }: ServerError): { index: string } | undefined {
  return constraint === undefined ? undefined : { index: constraint }
}

/** `Key (a, b)=(1, 2) already exists.`; not there when lc_messages is of another language. */
function key({ detail }: ServerError): { fields: string[] } | undefined {
  const columns = /Key \(([^)]+)\)/.exec(detail ?? '')?.[1]
  return columns === undefined ? undefined : { fields: columns.split(', ') }
}

/** The first name in quotes. */
function firstName(message: string): string | undefined {
  return /"([^"]+)"/.exec(message)?.[1]
}

function missingColumn(message: string): string | undefined {
  const column = /^column (.+) does not exist$/.exec(message)?.[1]
  return column?.replace(/"((?:""|[^"])*)"/g, (_, name: string) => name.replaceAll('""', '"'))
}
