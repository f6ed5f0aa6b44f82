import { type Channel, channel } from 'node:diagnostics_channel'
import { callUser, warnOfListener } from './user-callback.js'

/** How the events of an emitter appear on `node:diagnostics_channel`. */
export interface ChannelOptions {
  /** In front of the names of the channels: `pg-lifeguard` gives `pg-lifeguard:query`. */
  readonly prefix: string
  /** Put on every message, so that a subscriber to several emitters can distinguish them. */
  readonly stamp: Readonly<Record<string, unknown>>
  /** What stands for an error on the channel, where anybody may listen. */
  readonly describe: (error: unknown) => unknown
}

/** One kind of event, as its source sees it. */
export interface Publisher<Event> {
  readonly hasSubscribers: boolean
  publish(event: Event): void
}

/**
 * One kind of event: its listeners, and its channel of `node:diagnostics_channel`. Its source asks first whether there
 * are subscribers, and makes no event otherwise.
 */
export class EventChannel<Event> implements Publisher<Event> {
  readonly #listeners = new Set<(event: Event) => void>()
  readonly #options: ChannelOptions | undefined
  readonly #channel: Channel | undefined

  constructor(name: string, options: ChannelOptions | undefined) {
    this.#options = options
    this.#channel = options === undefined ? undefined : channel(`${options.prefix}:${name}`)
  }

  /** Whether anybody listens, here or on the channel. */
  get hasSubscribers(): boolean {
    return this.#listeners.size > 0 || this.#channel?.hasSubscribers === true
  }

  on(listener: (event: Event) => void): () => void {
    // A function of its own each time: the same listener may listen twice, and stop once.
    const own = (event: Event): void => listener(event)
    this.#listeners.add(own)
    return () => this.#listeners.delete(own)
  }

  /**
   * Calls every listener. One that throws or rejects hinders neither the others nor the work that the event is about: its
   * error becomes a warning of the process. (A subscriber of a channel that throws is Node's affair: `uncaughtException`.)
   */
  publish(event: Event): void {
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

/** An {@link Emitter} as the source of the events sees it; one with more events than these fits as well. */
export interface EmitOnly<Events extends object> {
  channel<Name extends keyof Events>(name: Name): Publisher<Events[Name]>
  emit<Name extends keyof Events>(name: Name, make: () => Events[Name]): boolean
}

/** Listeners by event name. Cheap when nobody listens: `emit` takes a function that makes the event. */
export class Emitter<Events extends object> implements EmitOnly<Events> {
  readonly #byName = new Map<PropertyKey, unknown>()
  readonly #channels: ChannelOptions | undefined

  /** @param channels how the events appear on `node:diagnostics_channel`; not at all without it */
  constructor(channels?: ChannelOptions) {
    this.#channels = channels
  }

  /** One kind of event, for those that happen so often that even the function of `emit` would cost too much. */
  channel<Name extends keyof Events>(name: Name): EventChannel<Events[Name]> {
    const found = this.#byName.get(name) as EventChannel<Events[Name]> | undefined
    if (found !== undefined) return found
    const made = new EventChannel<Events[Name]>(String(name), this.#channels)
    this.#byName.set(name, made)
    return made
  }

  /** Adds a listener; returns the way to remove it. */
  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): () => void {
    return this.channel(name).on(listener)
  }

  /** Calls all listeners; the event is made only when there is one. Returns whether there was. */
  emit<Name extends keyof Events>(name: Name, make: () => Events[Name]): boolean {
    const channel = this.channel(name)
    if (!channel.hasSubscribers) return false
    channel.publish(make())
    return true
  }
}
