/** Where the tickets are sold. */
export type DatabasePlace =
  | { readonly kind: 'DATABASE_URL'; readonly url: string }
  /** `port` is undefined for a free one. */
  | { readonly kind: 'embedded'; readonly port: number | undefined }

/**
 * The server that DATABASE_URL names, or else an embedded one. Nothing is connected to.
 *
 * @throws Error that says in one line, without any password, why that is not possible
 */
export function databasePlace(url: string | undefined, port: number | undefined): DatabasePlace {
  if (url === undefined || url === '') return { kind: 'embedded', port }
  if (port !== undefined) throw new Error('--port is for the embedded PostgreSQL, and DATABASE_URL is set')
  // Whatever it is, it may hold a password: it is not shown.
  if (!/^postgres(ql)?:\/\//.test(url)) {
    throw new Error('DATABASE_URL is not a URL of PostgreSQL, such as postgres://user:password@host:5432/database')
  }
  return { kind: 'DATABASE_URL', url }
}
