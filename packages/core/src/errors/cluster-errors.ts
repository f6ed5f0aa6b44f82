import { LifeguardError } from './lifeguard-error.js'

/** What is known of one host when no primary was found. */
export interface HostReport {
  /** `127.0.0.1:5432` */
  readonly host: string
  /** Why it is not the one. */
  readonly why: string
}

/**
 * None of the hosts takes writes: they are down, or all of them follow another server, or the one that would take writes is
 * an old primary that was replaced. Seen as the `cause` of ServerUnavailableError.
 */
export class NoPrimaryError extends LifeguardError {
  static override readonly name: string = 'NoPrimaryError'
  readonly code = 'LIFEGUARD_NO_PRIMARY'
  readonly retryable = true
  readonly hosts: readonly HostReport[]

  constructor(hosts: readonly HostReport[], options?: ErrorOptions) {
    super(`no host takes writes (${hosts.map(({ host, why }) => `${host}: ${why}`).join('; ')})`, options)
    this.hosts = hosts
  }
}

/**
 * A read-only transaction on a replica met a statement that does not only read, or that is not known to. It is run again
 * on the primary by itself; seen with `retry: false` only.
 */
export class NotOnReplicaError extends LifeguardError {
  static override readonly name: string = 'NotOnReplicaError'
  readonly code = 'LIFEGUARD_NOT_ON_REPLICA'
  readonly retryable = true

  constructor() {
    super('a statement of this transaction is not known to be a mere read: it belongs to the primary')
  }
}
