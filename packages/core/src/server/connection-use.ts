import type { Connection } from '../connection/connection.js'
import type { HolderFigures } from '../errors/pool-errors.js'

/** What the server says of a transaction, in words. */
export const transactionStates = { I: 'none', T: 'open', E: 'failed' } as const

/** More of a text says no more of what it is. */
const longestShown = 120

/** What a connection is used for now, for messages. */
export function useOf(connection: Connection): Omit<HolderFigures, 'heldMs'> {
  const { runningText } = connection
  return {
    text: runningText === undefined ? undefined : shortened(runningText),
    runningMs: connection.headRanMs,
    transaction: transactionStates[connection.status],
  }
}

/** On one line. A text may be very long: only what may be shown of it is looked at. */
function shortened(text: string): string {
  const line = text
    .slice(0, 4 * longestShown)
    .replace(/\s+/g, ' ')
    .trim()
  if (line.length <= longestShown && text.length <= 4 * longestShown) return line
  return `${line.slice(0, longestShown)} ...`
}
