/** The last lines a server wrote, for error messages. */
export class LogRing {
  readonly #lines: string[] = []
  readonly #capacity: number
  #partial = ''

  constructor(capacity = 200) {
    this.#capacity = capacity
  }

  write(chunk: string): void {
    const lines = (this.#partial + chunk).split('\n')
    this.#partial = lines.pop() ?? ''
    this.#lines.push(...lines)
    if (this.#lines.length > this.#capacity) this.#lines.splice(0, this.#lines.length - this.#capacity)
  }

  /** Oldest first. */
  lines(): string[] {
    return this.#partial === '' ? [...this.#lines] : [...this.#lines, this.#partial]
  }

  /** As much as an error message should carry. */
  tail(): string[] {
    return this.lines().slice(-15)
  }
}
