import { ClusterStartError, EmbeddedPostgresUnavailableError, PortInUseError, ServerOperationError } from './errors.js'

/** An error on its way from the keeper process to the process that asked. */
export interface WireError {
  readonly code: string
  readonly message: string
  readonly log: readonly string[]
  readonly port: number | undefined
  readonly stack: string | undefined
}

/** The constructors add the log to the message, so the message travels without it. */
function bareMessage(error: ClusterStartError | ServerOperationError): string {
  return error.message.split('\nlast lines of the server log:\n', 1)[0] ?? error.message
}

const unavailablePattern = /^embedded PostgreSQL is unavailable: (.*); use a server of your own: /s

export function toWireError(error: unknown): WireError {
  const base = { log: [], port: undefined, stack: error instanceof Error ? error.stack : undefined }
  if (error instanceof ClusterStartError || error instanceof ServerOperationError) {
    return { ...base, code: error.code, message: bareMessage(error), log: error.log }
  }
  if (error instanceof PortInUseError) return { ...base, code: error.code, message: error.message, port: error.port }
  if (error instanceof EmbeddedPostgresUnavailableError) {
    return { ...base, code: error.code, message: unavailablePattern.exec(error.message)?.[1] ?? error.message }
  }
  return { ...base, code: '', message: error instanceof Error ? error.message : String(error) }
}

export function fromWireError(wire: WireError): Error {
  const cause = new Error(wire.message)
  if (wire.stack !== undefined) cause.stack = wire.stack
  switch (wire.code) {
    case 'CLUSTER_START_FAILED':
      return new ClusterStartError(wire.message, { cause, log: wire.log })
    case 'PORT_IN_USE':
      return new PortInUseError(wire.port ?? 0, { cause })
    case 'EMBEDDED_POSTGRES_UNAVAILABLE':
      return new EmbeddedPostgresUnavailableError(wire.message, { cause })
    default:
      return new ServerOperationError(wire.message, { cause, log: wire.log })
  }
}
