import type { CallerContext } from '../observe/context.js'

/** What the server has made of it, in the words of the last of its results. */
export interface ReportedOutcome {
  readonly command: string | undefined
  readonly rowCount: number | null | undefined
}

/** What counts as one statement to whoever watches, however many messages and trips it takes. */
export interface Reported {
  /** Its text, without any value that is not written into it by the caller. */
  readonly reportedText: string
  /** The name of a prepared statement that its caller gave. */
  readonly name: string | undefined
  /** Why the server that runs it was chosen, where there was a choice. */
  readonly why: string | undefined
  /** Where it was asked for, while somebody traces. */
  readonly caller: CallerContext | undefined
  /** How many statements it consists of, when it is a batch. */
  readonly batchSize: number | undefined
  /** Milliseconds until its first rows were here, of what gives its rows piece by piece. */
  readonly firstRowMs: number | undefined
  readonly reportedOutcome: ReportedOutcome
}

/** Of several texts together, no more is reported. */
const longest = 4_096

/** Several statements as one text: each different text once. */
export function joinedTexts(texts: readonly string[]): string {
  let joined = ''
  for (const text of new Set(texts)) {
    joined += joined === '' ? text : `; ${text}`
    if (joined.length > longest) return `${joined.slice(0, longest)}...`
  }
  return joined
}
