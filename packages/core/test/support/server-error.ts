import pg from 'pg'

/** An error as `pg` builds it from what the server sent. */
export function serverError(
  code: string,
  fields: { readonly severity?: string; readonly routine?: string; readonly message?: string } = {},
): pg.DatabaseError {
  const error = new pg.DatabaseError(fields.message ?? `the server said ${code}`, 100, 'error')
  return Object.assign(error, { code, severity: fields.severity ?? 'ERROR', routine: fields.routine })
}

/** An error of a socket as Node builds it. */
export function socketError(code: string): Error {
  return Object.assign(new Error(`connect ${code} 127.0.0.1:5432`), { code, errno: -1, syscall: 'connect' })
}

/** Drizzle: the server's error at `cause`. */
export function drizzleError(cause: unknown): Error {
  return Object.assign(new Error('Failed query: select 1\nparams: ', { cause }), { query: 'select 1', params: [] })
}

/** What a driver adapter of Prisma throws: the SQLSTATE in a plain object at `cause`. */
export function driverAdapterError(kind: string, originalCode: string | undefined): Error {
  const cause = { kind, originalCode, originalMessage: 'said the server' }
  return Object.assign(new Error(kind, { cause }), { name: 'DriverAdapterError' })
}

/** What Prisma's client makes of it: a code of its own, the adapter's error at `meta.driverAdapterError`. */
export function prismaError(code: string, adapterError?: unknown): Error {
  const meta = { modelName: 'Account', driverAdapterError: adapterError }
  return Object.assign(new Error('Invalid invocation'), { name: 'PrismaClientKnownRequestError', code, meta })
}
