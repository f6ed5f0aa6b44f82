import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Asks until the answer is true.
 *
 * @throws after `timeoutMs`, with what was waited for
 */
export async function untilTrue(what: string, ask: () => Promise<boolean>, timeoutMs = 30_000): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!(await ask())) {
    if (performance.now() > deadline) throw new Error(`${what} did not come within ${timeoutMs / 1_000} s`)
    await sleep(5)
  }
}
