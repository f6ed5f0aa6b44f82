import { setTimeout as pause } from 'node:timers/promises'

/** Asks again until the answer is yes; fails loudly after a while. */
export async function until(what: string, ask: () => boolean | Promise<boolean>, timeoutMs = 30_000): Promise<void> {
  const end = performance.now() + timeoutMs
  while (!(await ask())) {
    if (performance.now() > end) throw new Error(`did not happen within ${timeoutMs} ms: ${what}`)
    await pause(5)
  }
}
