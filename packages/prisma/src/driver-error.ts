import { LifeguardError, sqlStateOf } from '@pg-lifeguard/core'
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
  if (!(error instanceof Error) || state === undefined) return error
  const server = error as ServerError
  const { message: originalMessage, severity, routine } = server
  const mapped: MappedError = kinds[state]?.(server) ?? unmapped(server, state)
  // Severity and routine are for classify(), which tells a dead session or a standby from them.
  return new DriverAdapterError(Object.assign(mapped, { originalCode: state, originalMessage, severity, routine }))
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

function unmapped({ message, severity, detail, column, hint }: ServerError, code: string): MappedError {
  return { kind: 'postgres', code, severity: severity ?? 'N/A', message, detail, column, hint }
}

/**
 * Prisma's own table, of which code has a kind of its own; what the kinds mean to Prisma's users (P2002 and so on) is
 * said at https://www.prisma.io/docs/orm/reference/error-reference. It decides nothing here: classify() does.
 */
const kinds: Readonly<Record<string, (error: ServerError) => MappedError>> = {
  '22001': ({ column }) => ({ kind: 'LengthMismatch', ...(column === undefined ? {} : { column }) }),
  '22003': ({ message }) => ({ kind: 'ValueOutOfRange', cause: message }),
  '22P02': ({ message }) => ({ kind: 'InvalidInputValue', message }),
  '23505': uniqueViolation,
  '23502': ({ column, detail }) => ({
    kind: 'NullConstraintViolation',
    ...constraint(column === undefined ? keyColumns(detail) : [column], undefined),
  }),
  '23503': ({ column, constraint: index }) => ({
    kind: 'ForeignKeyConstraintViolation',
    ...constraint(column === undefined ? undefined : [column], index),
  }),
  '23001': ({ column, constraint: index }) => ({
    kind: 'RestrictViolation',
    ...constraint(column === undefined ? undefined : [column], index),
  }),
  '3D000': ({ message }) => ({ kind: 'DatabaseDoesNotExist', ...named('db', message) }),
  '28000': ({ message }) => ({ kind: 'DatabaseAccessDenied', ...named('db', message) }),
  '28P01': ({ message }) => ({ kind: 'AuthenticationFailed', ...named('user', message) }),
  '40001': () => ({ kind: 'TransactionWriteConflict' }),
  '40P01': () => ({ kind: 'TransactionWriteConflict' }),
  '42P01': ({ message }) => ({ kind: 'TableDoesNotExist', ...named('table', message) }),
  '42703': ({ message }) => {
    const column = /^column (.+) does not exist$/.exec(message)?.[1]
    return { kind: 'ColumnNotFound', ...(column === undefined ? {} : { column: unquoted(column) }) }
  },
  '42P04': ({ message }) => ({ kind: 'DatabaseAlreadyExists', ...named('db', message) }),
  '53300': ({ message }) => ({ kind: 'TooManyConnections', cause: message }),
}

function uniqueViolation({ constraint: index, table, detail }: ServerError): MappedError {
  const tableOf = table === undefined ? {} : { table }
  return { kind: 'UniqueConstraintViolation', ...constraint(keyColumns(detail), index, 'index'), ...tableOf }
}

type Constraint = { readonly constraint?: { fields: string[] } | { index: string } }

function constraint(
  fields: string[] | undefined,
  index: string | undefined,
  first: 'fields' | 'index' = 'fields',
): Constraint {
  if (index !== undefined && (first === 'index' || fields === undefined)) return { constraint: { index } }
  return fields === undefined ? {} : { constraint: { fields } }
}

/** `Key (a, b)=(1, 2) already exists.`; not there when lc_messages is of another language. */
function keyColumns(detail: string | undefined): string[] | undefined {
  return /Key \(([^)]+)\)/.exec(detail ?? '')?.[1]?.split(', ')
}

/** The first name in quotes. */
function named<Key extends string>(key: Key, message: string): Partial<Record<Key, string>> {
  const name = /"([^"]+)"/.exec(message)?.[1]
  return (name === undefined ? {} : { [key]: name }) as Partial<Record<Key, string>>
}

function unquoted(name: string): string {
  return name.replace(/"((?:""|[^"])*)"/g, (_, inner: string) => inner.replaceAll('""', '"'))
}
