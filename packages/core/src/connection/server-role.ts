import type { EventEmitter } from 'node:events'

/** What a server is in its cluster; `unknown` before PostgreSQL 14, which does not say it by itself. */
export type ReportedRole = 'primary' | 'standby' | 'unknown'

/**
 * What the server reports of its role, at connect and whenever it changes: no query is needed. A promoted standby says so
 * with the answer to the next statement.
 * https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-ASYNC
 */
export class RoleReports {
  #inHotStandby: boolean | undefined
  #defaultReadOnly: boolean | undefined
  readonly #onChange = new Set<(role: ReportedRole) => void>()

  /** Listens to the protocol connection of a client. */
  constructor(wire: EventEmitter) {
    wire.on('parameterStatus', ({ parameterName, parameterValue }: ParameterStatus) => {
      if (parameterName === 'in_hot_standby') {
        const before = this.role
        this.#inHotStandby = parameterValue === 'on'
        if (before !== 'unknown' && before !== this.role)
          for (const listener of [...this.#onChange]) listener(this.role)
      } else if (parameterName === 'default_transaction_read_only') this.#defaultReadOnly = parameterValue === 'on'
    })
  }

  get role(): ReportedRole {
    if (this.#inHotStandby === undefined) return 'unknown'
    return this.#inHotStandby ? 'standby' : 'primary'
  }

  /** Whether transactions can write unless they ask not to; undefined when the server has not said it. */
  get isReadWrite(): boolean | undefined {
    if (this.#inHotStandby === undefined || this.#defaultReadOnly === undefined) return undefined
    return !this.#inHotStandby && !this.#defaultReadOnly
  }

  /** Calls back when the server has become something else; returns the way to stop listening. */
  onChange(listener: (role: ReportedRole) => void): () => void {
    this.#onChange.add(listener)
    return () => this.#onChange.delete(listener)
  }

  /** Takes what was asked of a server that does not report it. */
  learn(what: { readonly inHotStandby: boolean; readonly defaultReadOnly: boolean }): void {
    this.#inHotStandby ??= what.inHotStandby
    this.#defaultReadOnly ??= what.defaultReadOnly
  }
}

/** A setting that the server reports, as `pg` parses it. */
export interface ParameterStatus {
  readonly parameterName: string
  readonly parameterValue: string
}
