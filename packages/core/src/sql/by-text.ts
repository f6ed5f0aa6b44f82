/** How many texts are remembered, and how long one may be. */
const mostTexts = 500
const longestText = 4_096

/** Remembers what was found out about texts: whoever asks about one is likely to ask about it each time it is run. */
export class ByText<T extends object | null> {
  readonly #find: (text: string) => T
  /** Oldest first. */
  readonly #known = new Map<string, T>()

  constructor(find: (text: string) => T) {
    this.#find = find
  }

  of(text: string): T {
    const known = this.#known.get(text)
    if (known !== undefined) return known
    const found = this.#find(text)
    if (text.length > longestText) return found
    this.#known.set(text, found)
    if (this.#known.size > mostTexts) {
      for (const oldest of this.#known.keys()) {
        this.#known.delete(oldest)
        break
      }
    }
    return found
  }
}
