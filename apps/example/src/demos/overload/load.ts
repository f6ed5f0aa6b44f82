import { setTimeout as sleep } from 'node:timers/promises'

/** What callers got that ask at a steady rate, whether or not the ones before them have been answered. */
export interface LoadFigures {
  readonly calls: number
  /** Answers that came while somebody still waited for them, in each second of the load. */
  readonly usefulPerSecond: number
  /** 99 of 100 useful answers took no longer; NaN when there was none. */
  readonly p99Ms: number
  readonly turnedAway: number
  /** How long a caller waited on average to hear that there will be no answer; NaN when nobody did. */
  readonly refusalMs: number
}

/** Makes `perSecond` calls for `loadMs`, evenly; a late timer makes up for what it missed. */
export async function offer(
  call: () => Promise<void>,
  {
    perSecond,
    loadMs,
    patienceMs,
  }: { readonly perSecond: number; readonly loadMs: number; readonly patienceMs: number },
): Promise<LoadFigures> {
  const answers: { readonly isGood: boolean; readonly tookMs: number; readonly at: number }[] = []
  const one = async (): Promise<void> => {
    const calledAt = performance.now()
    const isGood = await call().then(
      () => true,
      () => false,
    )
    const at = performance.now()
    answers.push({ isGood: isGood && at - calledAt <= patienceMs, tookMs: at - calledAt, at })
  }
  const all: Promise<void>[] = []
  const start = performance.now()
  for (let elapsed = 0; elapsed < loadMs; elapsed = performance.now() - start) {
    while (all.length < (elapsed / 1_000) * perSecond) all.push(one())
    await sleep(1)
  }
  const end = performance.now()
  await Promise.all(all)
  const useful = answers.filter(({ isGood }) => isGood).map(({ tookMs }) => tookMs)
  const refused = answers.filter(({ isGood }) => !isGood).map(({ tookMs }) => tookMs)
  const inTime = answers.filter(({ isGood, at }) => isGood && at <= end).length
  return {
    calls: all.length,
    usefulPerSecond: Math.round(inTime / ((end - start) / 1_000)),
    p99Ms: Math.round(useful.toSorted((a, b) => a - b)[Math.ceil(useful.length * 0.99) - 1] ?? Number.NaN),
    turnedAway: refused.length,
    refusalMs: Math.round(refused.reduce((sum, ms) => sum + ms, 0) / refused.length),
  }
}
