import type { EventEmitter } from 'node:events'

/**
 * In which form the server writes dates and intervals: it says so at connect and whenever that changes. A database or a
 * role may have another form than the one that this side reads.
 * https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-ASYNC
 */
export class ValueStyles {
  #dates: string | undefined
  #intervals: string | undefined

  /** Listens to the protocol connection of a client. */
  constructor(wire: EventEmitter) {
    wire.on('parameterStatus', ({ parameterName, parameterValue }: ParameterStatus) => {
      if (parameterName === 'DateStyle') this.#dates = parameterValue
      else if (parameterName === 'IntervalStyle') this.#intervals = parameterValue
    })
  }

  /** Whether values come in the form that is read; a server that says nothing is taken at the default. */
  get areRead(): boolean {
    return (this.#dates ?? 'ISO').startsWith('ISO') && (this.#intervals ?? 'postgres') === 'postgres'
  }
}

interface ParameterStatus {
  readonly parameterName: string
  readonly parameterValue: string
}
