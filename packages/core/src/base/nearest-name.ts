/** The name of the list that is most like the one given; undefined when none is like it. */
export function nearestName(given: string, names: Iterable<string>): string | undefined {
  const wanted = plainName(given)
  let nearest: string | undefined
  let least = Number.POSITIVE_INFINITY
  for (const name of names) {
    const candidate = plainName(name)
    const shorter = Math.min(wanted.length, candidate.length)
    // One that holds the other whole, such as maxConnections and max, is near however much longer it is.
    const holds = shorter >= 3 && (wanted.startsWith(candidate) || candidate.startsWith(wanted))
    const edits = editDistance(wanted, candidate)
    const distance = holds ? Math.min(1.5, edits) : edits
    if (distance < least && distance <= Math.max(1.5, shorter / 3)) {
      nearest = name
      least = distance
    }
  }
  return nearest
}

/** A name without its case, underscores and dots, which are the usual slips. */
export function plainName(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '')
}

/** Insertions, deletions and substitutions from one text to the other. https://en.wikipedia.org/wiki/Levenshtein_distance */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let i = 1; i <= from.length; i++) {
    const next = [i]
    for (let j = 1; j <= to.length; j++) {
      const substituted = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1)
      next.push(Math.min(substituted, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[to.length] ?? 0
}
