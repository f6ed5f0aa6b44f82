/** What a CommandComplete says. */
export interface CommandTag {
  readonly command: string | null
  readonly oid: number | null
  readonly rowCount: number | null
}

/** The same as `pg` reads: `SELECT 5`, `INSERT 0 1`, `CREATE TABLE`. */
const form = /^([A-Za-z]+)(?: (\d+))?(?: (\d+))?/

let lastText = ''
let lastTag: CommandTag = { command: null, oid: null, rowCount: null }

/** Reads a tag. The last one is remembered: most statements of a busy program end with the same. */
export function tagOf(text: string): CommandTag {
  if (text === lastText) return lastTag
  const match = form.exec(text)
  const [, command = null, first, second] = match ?? []
  lastTag = {
    command,
    oid: second === undefined ? null : Number(first),
    rowCount: second === undefined ? (first === undefined ? null : Number(first)) : Number(second),
  }
  lastText = text
  return lastTag
}
