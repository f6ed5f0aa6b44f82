const tickMs = 2
/** A timer of Node is a little late by nature; what is beyond this is a loop that was busy. */
const naturalMs = 5

/** Measures for how long the event loop could not run what was due. */
export class LoopDelay {
  readonly #delays: { readonly at: number; readonly ms: number }[] = []
  #dueAt = 0
  #timer: NodeJS.Timeout | undefined
  mostMs = 0

  start(): void {
    this.#dueAt = performance.now() + tickMs
    this.#timer = setTimeout(() => {
      const ms = performance.now() - this.#dueAt
      this.mostMs = Math.max(this.mostMs, ms)
      if (ms > naturalMs) this.#delays.push({ at: this.#dueAt, ms })
      if (this.#delays.length > 2_000) this.#delays.splice(0, 1_000)
      this.start()
    }, tickMs)
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  /** How long it was blocked from then until now. */
  since(from: number): number {
    const now = performance.now()
    const blocked = (at: number, ms: number): number => Math.max(0, at + ms - Math.max(at, from))
    const pending = now - this.#dueAt
    let sum = pending > naturalMs ? blocked(this.#dueAt, pending) : 0
    for (const { at, ms } of this.#delays) sum += blocked(at, ms)
    return sum
  }
}
