import { type ChannelOptions, Topic } from './topic.js'

/** Listeners by event name. Cheap when nobody listens: `emit` takes a function that makes the event. */
export class Emitter<Events extends object> {
  readonly #topics = new Map<PropertyKey, Topic<never>>()
  readonly #channels: ChannelOptions | undefined

  /** @param channels how the events appear on `node:diagnostics_channel`; not at all without it */
  constructor(channels?: ChannelOptions) {
    this.#channels = channels
  }

  /** One kind of event, for those that happen so often that even the function of `emit` would cost too much. */
  topic<Name extends keyof Events>(name: Name): Topic<Events[Name]> {
    const found = this.#topics.get(name) as Topic<Events[Name]> | undefined
    if (found !== undefined) return found
    const topic = new Topic<Events[Name]>(String(name), this.#channels)
    this.#topics.set(name, topic as Topic<never>)
    return topic
  }

  /** Adds a listener; returns the way to remove it. */
  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): () => void {
    return this.topic(name).on(listener)
  }

  /** Tells everybody who listens; the event is made only then. */
  emit<Name extends keyof Events>(name: Name, make: () => Events[Name]): boolean {
    const topic = this.topic(name)
    if (!topic.isHeard) return false
    topic.tell(make())
    return true
  }
}
