import type { OperationOptions } from '../deadline/deadline.js'
import { optionNames } from '../errors/known-options.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import type { PoolClosedError } from '../errors/pool-errors.js'
import { assertName } from '../sql/quote.js'

/** Where a notification comes from. */
export interface NotificationOrigin {
  readonly channel: string
  /** Process id of the backend that sent it. */
  readonly pid: number
}

/** Called for each notification, in the order in which they were committed. A promise that it returns is not waited for. */
export type NotificationHandler = (payload: string, origin: NotificationOrigin) => unknown

/** A time in which notifications may have been missed. */
export interface ListenGap {
  /** Milliseconds since the subscription was last known to work. */
  readonly sinceMs: number
  /** What ended the session, or kept it from coming back. */
  readonly error: unknown
}

/** How to listen. */
export interface ListenOptions extends OperationOptions {
  /**
   * Called after the session was lost and all is subscribed again: what was sent in between is gone, as PostgreSQL keeps
   * notifications for nobody. The place to look at the tables again.
   */
  readonly onGap?: ((gap: ListenGap) => unknown) | undefined
  /**
   * Called once when the pool is ended and the subscription with it; not for `unlisten` or `signal`. It does not come back,
   * also when `cancelEnd` undoes the end: listen again.
   */
  readonly onEnd?: ((error: PoolClosedError) => unknown) | undefined
  /** Ends the subscription. @default undefined (until `unlisten`, or the end of the pool) */
  readonly signal?: AbortSignal | undefined
  /** How long to wait until it is listening, in milliseconds. @default the `acquireTimeoutMs` of the pool */
  readonly timeoutMs?: number | undefined
}

/** The names of `ListenOptions`. */
export const listenNames = optionNames<ListenOptions>({ signal: true, timeoutMs: true, onGap: true, onEnd: true })

/** A handler that is there until it is taken off, at the end of its `await using` block at the latest. */
export interface Subscription extends AsyncDisposable {
  readonly channels: readonly string[]
  /** Takes the handler off, and settles when the server sends it no more; harmless when that is so already. */
  unlisten(): Promise<void>
}

/** One or more names of channels, checked: what is sent to a name that the server has cut off would never arrive. */
export function channelsOf(given: string | readonly string[]): string[] {
  const channels = [...new Set(Array.isArray(given) ? (given as readonly string[]) : [given as string])]
  if (channels.length === 0) throw new InvalidArgumentError('the channels', 'none', 'one name or more')
  for (const channel of channels) assertName('the channel', channel)
  return channels
}
