/** Names that are remembered; the oldest are forgotten first. */
const most = 10_000

/** The names behind keys, as far as this process has hashed them lately: a hash cannot be turned back. */
export class LockNames {
  readonly #names = new Map<string, string>()

  remember(id: string, name: string): void {
    this.#names.delete(id)
    this.#names.set(id, name)
    if (this.#names.size > most)
      for (const oldest of this.#names.keys()) {
        this.#names.delete(oldest)
        break
      }
  }

  nameOf(id: string): string | undefined {
    return this.#names.get(id)
  }
}
