import { setTimeout as delay } from 'node:timers/promises'

export interface WaitUntilOptions {
  readonly timeoutMs: number
  readonly intervalMs?: number
  readonly signal?: AbortSignal | undefined
}

/** Asks again until the answer is something; `undefined` when the time is over. */
export async function waitUntil<T>(
  ask: () => Promise<T | undefined>,
  { timeoutMs, intervalMs = 10, signal }: WaitUntilOptions,
): Promise<T | undefined> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    signal?.throwIfAborted()
    const answer = await ask()
    if (answer !== undefined || performance.now() > deadline) return answer
    await delay(intervalMs, undefined, signal === undefined ? {} : { signal })
  }
}
