/** One place where a server listens. */
export interface Endpoint {
  /** Host name, address, or the folder of a Unix socket. Certificates are held against it. */
  readonly host: string
  readonly port: number
  /** The address to connect to in place of looking `host` up. */
  readonly address?: string | undefined
}

/** An endpoint for messages: `db1:5432`, `[::1]:5432`, `/tmp/.s.PGSQL.5432`. */
export function endpointText({ host, port }: Endpoint): string {
  if (isSocketFolder(host)) return `${host}/.s.PGSQL.${port}`
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Whether a host is the folder of a Unix socket. */
export function isSocketFolder(host: string): boolean {
  return host.startsWith('/')
}
