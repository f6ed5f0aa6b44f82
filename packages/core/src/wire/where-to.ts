import pg from 'pg'

/** Host and port that a configuration leads to, as `pg` itself reads it, for messages. Never the user or password. */
export function whereTo(config: pg.ClientConfig): string {
  // A client that is never connected opens nothing; it is the one that knows how URL, fields and environment combine.
  const { host, port } = new pg.Client(config)
  return host.startsWith('/') ? `${host}/.s.PGSQL.${port}` : `${host}:${port}`
}
