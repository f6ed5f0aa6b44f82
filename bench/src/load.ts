/** So many operations in so many milliseconds. */
export interface Load {
  readonly operations: number
  readonly elapsedMs: number
}

/** Keeps so many callers busy for `ms`; each asks again as soon as it has its answer. */
export async function keepBusy(callers: number, ms: number, operation: (n: number) => Promise<unknown>): Promise<Load> {
  const start = performance.now()
  const end = start + ms
  let operations = 0
  const caller = async (): Promise<void> => {
    do {
      operations += 1
      await operation(operations)
    } while (performance.now() < end)
  }
  await Promise.all(Array.from({ length: callers }, caller))
  return { operations, elapsedMs: performance.now() - start }
}

/** One caller whose operations are too short to look at the clock after each. */
export async function repeat(ms: number, operation: () => Promise<unknown>): Promise<Load> {
  const start = performance.now()
  const end = start + ms
  let operations = 0
  do {
    for (let n = 0; n < 1_000; n++) await operation()
    operations += 1_000
  } while (performance.now() < end)
  return { operations, elapsedMs: performance.now() - start }
}

/** The middle one, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (sorted.length - 1) / 2
  const [low, high] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]]
  if (low === undefined || high === undefined) throw new Error('bug: the median of nothing')
  return (low + high) / 2
}
