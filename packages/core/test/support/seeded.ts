/** FC_TIMES=100 makes 100 times the runs, and gives them 100 times as long. */
const times = Number(process.env['FC_TIMES'] ?? 1)

/** Parameters of a property: FC_SEED replays the run whose seed a failure printed. */
export function seeded(numRuns: number): { readonly numRuns: number; readonly seed?: number } {
  const seed = process.env['FC_SEED']
  const runs = numRuns * times
  return seed === undefined ? { numRuns: runs } : { numRuns: runs, seed: Number(seed) }
}

/** The timeout of a test that takes this long at most with as many runs as usual; vitest's own is raised by `pnpm lab`. */
export function longEnough(timeoutMs: number): number {
  return timeoutMs * times
}

/** A small generator of pseudorandom numbers in [0, 1), so that a run can be replayed. mulberry32, public domain. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
