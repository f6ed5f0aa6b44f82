import type { SinkRow } from './peer.js'

/** Rows in COPY's text format, for peers that leave that to their users; these have nothing to be escaped. */
export function* copyLines(rows: Iterable<SinkRow>): Generator<string> {
  for (const [id, body] of rows) yield `${id}\t${body}\n`
}
