import { ToServer } from './messages.js'

/** Above these a server would be in trouble before the proxy is; the oldest names are forgotten first. */
const maxStatements = 10_000
const maxPortals = 1_000

/**
 * Knows which SQL an Execute runs: follows Parse (name -> text) and Bind (portal -> statement) of one connection.
 * Follows them from the first byte on, as a rule may be added long after a statement was prepared.
 */
export class StatementTracker {
  readonly #statements = new Map<string, string>()
  readonly #portals = new Map<string, string>()
  readonly #executed = new Set<string>()

  /** The texts that were executed since the last Sync: what the next Sync completes. */
  get sinceSync(): ReadonlySet<string> {
    return this.#executed
  }

  /**
   * Takes the start of a message's body and returns the SQL it is about: of Query and Parse the text they carry, of
   * Execute the SQL of the statement of its portal; undefined for others, and where the statement is not known.
   */
  see(code: number, body: Buffer): string | undefined {
    switch (code) {
      case ToServer.Query:
        return textAt(body, 0)
      case ToServer.Parse: {
        const nameEnd = endOf(body, 0)
        const text = textAt(body, nameEnd + 1)
        remember(this.#statements, body.toString('latin1', 0, nameEnd), text, maxStatements)
        return text
      }
      case ToServer.Bind: {
        const portalEnd = endOf(body, 0)
        const statement = body.toString('latin1', portalEnd + 1, endOf(body, portalEnd + 1))
        remember(this.#portals, body.toString('latin1', 0, portalEnd), this.#statements.get(statement), maxPortals)
        return undefined
      }
      case ToServer.Execute: {
        const text = this.#portals.get(body.toString('latin1', 0, endOf(body, 0)))
        if (text !== undefined) this.#executed.add(text)
        return text
      }
      case ToServer.Close: {
        const name = body.toString('latin1', 1, endOf(body, 1))
        if (body[0] === 0x53) this.#statements.delete(name)
        else this.#portals.delete(name)
        return undefined
      }
      default:
        return undefined
    }
  }

  /** A Sync has passed. */
  synced(): void {
    if (this.#executed.size > 0) this.#executed.clear()
  }
}

/** The text from `start` to its NUL, or to the end of what was inspected. */
export function textAt(body: Buffer, start: number): string {
  return body.toString('utf8', start, endOf(body, start))
}

function endOf(body: Buffer, start: number): number {
  const end = body.indexOf(0, start)
  return end === -1 ? body.length : end
}

function remember(map: Map<string, string>, name: string, text: string | undefined, limit: number): void {
  // Deleted first, so that the order of the map is the order of use.
  map.delete(name)
  if (text === undefined) return
  map.set(name, text)
  if (map.size <= limit) return
  const oldest = map.keys().next()
  if (!oldest.done) map.delete(oldest.value)
}
