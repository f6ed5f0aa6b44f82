import { type ChannelOptions, type Told, Topic } from './topic.js'

/** The side of an {@link Emitter} that tells; one with more events than these fits as well. */
export interface Announcer<Events extends object> {
  topic<Name extends keyof Events>(name: Name): Told<Events[Name]>
  emit<Name extends keyof Events>(name: Name, make: () => Events[Name]): boolean
}

/** Listeners by event name. Cheap when nobody listens: `emit` takes a function that makes the event. */
export class Emitter<Events extends object> implements Announcer<Events> {
  readonly #topics = new Map<PropertyKey, unknown>()
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
    this.#topics.set(name, topic)
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
