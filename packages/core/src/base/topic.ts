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
