/** Who wants which channels. What it costs depends on the channels that are named, and not on how many there are. */
export class Channels<Entry extends { readonly channels: readonly string[] }> {
  readonly #byName = new Map<string, Set<Entry>>()

  /** Every channel that is wanted. */
  get names(): Iterable<string> {
    return this.#byName.keys()
  }

  isWanted(channel: string): boolean {
    return this.#byName.has(channel)
  }

  /** Everybody who wants it, in the order in which they came; a list that stays as it is. */
  of(channel: string): readonly Entry[] {
    return [...(this.#byName.get(channel) ?? [])]
  }

  add(entry: Entry): void {
    for (const channel of entry.channels) {
      const entries = this.#byName.get(channel)
      if (entries === undefined) this.#byName.set(channel, new Set([entry]))
      else entries.add(entry)
    }
  }

  delete(entry: Entry): void {
    for (const channel of entry.channels) {
      const entries = this.#byName.get(channel)
      entries?.delete(entry)
      if (entries?.size === 0) this.#byName.delete(channel)
    }
  }
}
