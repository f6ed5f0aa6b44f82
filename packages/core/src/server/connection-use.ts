import type { Connection } from '../connection/connection.js'
import type { HolderFigures } from '../errors/pool-errors.js'

/** The names of the states of a transaction, by what the server reports. */
export const transactionStates = { I: 'none', T: 'open', E: 'failed' } as const

/** How much of an SQL text a message shows, in characters. */
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

/** On one line. SQL text may be very long: only the part that may be shown is read. */
function shortened(text: string): string {
  const line = text
    .slice(0, 4 * longestShown)
    .replace(/\s+/g, ' ')
    .trim()
  if (line.length <= longestShown && text.length <= 4 * longestShown) return line
  return `${line.slice(0, longestShown)} ...`
}
