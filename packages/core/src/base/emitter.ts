/** Listeners by event name. Cheap when nobody listens: `emit` takes a function that makes the event. */
export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<(event: never) => void>>()

  /** Adds a listener; returns the way to remove it. */
  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, listeners)
    listeners.add(listener)
    return () => listeners.delete(listener)
  }

  /**
   * Tells everybody who listens; the event is made only then. A listener that throws does not hinder the others, nor
   * the work that the event is about: its error becomes a warning of the process.
   */
  emit<Name extends keyof Events>(name: Name, make: () => Events[Name]): boolean {
    const listeners = this.#listeners.get(name)
    if (listeners === undefined || listeners.size === 0) return false
    const event = make()
    for (const listener of [...listeners]) {
      try {
        ;(listener as (event: Events[Name]) => void)(event)
      } catch (error) {
        process.emitWarning(error instanceof Error ? error : String(error), { type: 'LifeguardListenerWarning' })
      }
    }
    return true
  }
}
