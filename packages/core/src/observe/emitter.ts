import { type Channel, channel } from 'node:diagnostics_channel'
import { callUser, warnOfListener } from './user-callback.js'

/** What a topic says of itself on its channel. */
export interface ChannelOptions {
  /** In front of the names of the channels: `pg-lifeguard` gives `pg-lifeguard:query`. */
  readonly prefix: string
  /** Put on every message, so that whoever hears several emitters can tell them apart. */
  readonly stamp: Readonly<Record<string, unknown>>
  /** What stands for an error on the channel, where anybody may listen. */
  readonly describe: (error: unknown) => unknown
}

/** One kind of event, to whoever tells it. */
export interface Told<Event> {
  readonly isHeard: boolean
  tell(event: Event): void
}

/**
 * One kind of event: its listeners, and its channel of `node:diagnostics_channel`. Whoever tells something asks first
 * whether anybody hears it, and makes no event otherwise.
 */
export class Topic<Event> implements Told<Event> {
  readonly #listeners = new Set<(event: Event) => void>()
  readonly #options: ChannelOptions | undefined
  readonly #channel: Channel | undefined

  constructor(name: string, options: ChannelOptions | undefined) {
    this.#options = options
    this.#channel = options === undefined ? undefined : channel(`${options.prefix}:${name}`)
  }

  /** Whether anybody listens, here or on the channel. */
  get isHeard(): boolean {
    return this.#listeners.size > 0 || this.#channel?.hasSubscribers === true
  }

  on(listener: (event: Event) => void): () => void {
    // A function of its own each time: the same listener may listen twice, and stop once.
    const own = (event: Event): void => listener(event)
    this.#listeners.add(own)
    return () => this.#listeners.delete(own)
  }

  /**
   * Tells everybody. A listener that throws or rejects hinders neither the others nor the work that the event is about: its error
   * becomes a warning of the process. (A subscriber of a channel that throws is Node's affair: `uncaughtException`.)
   */
  tell(event: Event): void {
    for (const listener of [...this.#listeners]) {
      callUser(() => listener(event), warnOfListener)
    }
    if (this.#options !== undefined && this.#channel?.hasSubscribers === true) {
      this.#channel.publish(publicForm(event, this.#options))
    }
  }
}

function publicForm(event: unknown, { stamp, describe }: ChannelOptions): object {
  const message: Record<string, unknown> = { ...stamp, ...(event as object) }
  if ('error' in message) message['error'] = describe(message['error'])
  return message
}

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
