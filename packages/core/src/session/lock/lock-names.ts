/** Names that are remembered; those that were used longest ago are forgotten first. */
const most = 10_000
/** Characters of all of them together. */
const mostCharacters = 1_000_000
/** A longer one is not remembered: it is somebody's data, and would push out what can be read. */
export const longestName = 1_000

/** The names behind keys, as far as this process has hashed them lately: a hash cannot be turned back. */
export class LockNames {
  readonly #names = new Map<string, string>()
  #characters = 0
  /**
   * Where to go on with forgetting: a new iterator would first pass all that was deleted since the table was last made
   * anew. It is dropped when names move to the end, as it holds on to every table that it has not passed yet.
   */
  #oldest: MapIterator<[string, string]> | undefined

  remember(id: string, name: string): void {
    if (name.length > longestName) return
    const known = this.#names.get(id)
    if (known === undefined) this.#characters += name.length
    else {
      this.#names.delete(id)
      this.#oldest = undefined
    }
    this.#names.set(id, known ?? copyOf(name))
    while (this.#names.size > most || this.#characters > mostCharacters) {
      this.#oldest ??= this.#names.entries()
      const { value } = this.#oldest.next()
      if (value === undefined) throw new Error('bug: more is counted than is remembered')
      const [oldest, { length }] = value
      this.#names.delete(oldest)
      this.#characters -= length
    }
  }

  nameOf(id: string): string | undefined {
    return this.#names.get(id)
  }
}

/** A name that was cut out of a large text keeps all of that text in memory. */
function copyOf(name: string): string {
  return Buffer.from(name, 'utf16le').toString('utf16le')
}
