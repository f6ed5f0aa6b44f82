import type { EventEmitter } from 'node:events'
import type { ParameterStatus } from './server-role.js'

/**
 * In which form the server writes text, dates and intervals: it says so at connect and whenever that changes. A database or a
 * role may have another form than the one that this side reads.
 * https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-ASYNC
 */
export class ValueStyles {
  /** Whether values come in the form that is read; a server that says nothing is taken at the default. */
  areRead = true
  /** Whether all text is sent and read in the encoding that this side has. */
  isUtf8 = true
  #dates = true
  #intervals = true

  /** Listens to the protocol connection of a client. */
  constructor(wire: EventEmitter) {
    wire.on('parameterStatus', ({ parameterName, parameterValue }: ParameterStatus) => {
      if (parameterName === 'DateStyle') this.#dates = parameterValue.startsWith('ISO')
      else if (parameterName === 'IntervalStyle') this.#intervals = parameterValue === 'postgres'
      else if (parameterName === 'client_encoding') this.isUtf8 = /^(?:utf8|utf-8|unicode)$/i.test(parameterValue)
      else return
      this.areRead = this.#dates && this.#intervals
    })
  }
}
