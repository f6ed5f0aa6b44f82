/** What a part of the run found. */
export interface StageResult {
  readonly stage: string
  /** In the order in which they are shown. */
  readonly figures: Readonly<Record<string, number | string>>
  /** What was promised and not kept. */
  readonly violations: readonly string[]
}

/** Collects what is not as promised. */
export class Promises {
  readonly violations: string[] = []

  check(isKept: boolean, what: string): void {
    if (!isKept) this.violations.push(what)
  }
}

/** Runs `work` for 0 to `count - 1`, `concurrency` at a time. */
export async function forEach(count: number, concurrency: number, work: (n: number) => Promise<void>): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    for (let n = next++; n < count; n = next++) await work(n)
  }
  await Promise.all(Array.from({ length: concurrency }, worker))
}
