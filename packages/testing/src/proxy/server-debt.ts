import { type Direction, ToClient, ToServer } from './messages.js'

/**
 * Whether the server still owes answers to what was forwarded to it. Closing its side before would be noticed while it
 * works where client_connection_check_interval is set, and could then undo what a cut promises was processed.
 */
export class ServerDebt {
  #ready = false
  #owed = 0
  #inCopy = false

  /** A message has passed. */
  passed(direction: Direction, code: number): void {
    if (direction === 'to-server') {
      if (code === ToServer.Query || code === ToServer.Sync || code === ToServer.FunctionCall) this.#owed++
    } else if (code === ToClient.ReadyForQuery) {
      // The first one ends the start of the connection and answers nothing.
      if (this.#ready) this.#owed--
      this.#ready = true
      this.#inCopy = false
    } else if (code === ToClient.CopyInResponse || code === ToClient.CopyBothResponse) {
      this.#inCopy = true
    }
  }

  /** True when nothing more would come of waiting: all is answered, or it is the server that waits. */
  get settled(): boolean {
    return !this.#ready || this.#inCopy || this.#owed <= 0
  }
}
