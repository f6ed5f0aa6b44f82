import type { HolderFigures } from '../errors/pool-errors.js'

/** What the pool needs to know about the things it pools. It knows nothing else about them: no SQL, no sockets. */
export interface ResourceFactory<R> {
  /** Where the resources come from, for messages: `127.0.0.1:5432`. */
  readonly where: string
  /** Opens a new one. Bounds itself in time; a caller who gave up does not cancel it, the end of the pool does. */
  open(signal: AbortSignal): Promise<R>
  /** Closes one, politely when there is time for it. Settles when it is gone, in bounded time; never rejects. */
  close(resource: R): Promise<void>
  /**
   * Tears one down at once. Settles when its other side has let go of it, or has had its time to do so; never rejects.
   */
  destroy(resource: R): Promise<void>
  /** What it is used for now, for messages. Without it nothing is said of that. */
  describe?(resource: R): Omit<HolderFigures, 'heldMs'>
  /** Whether it can still be used, as far as is known without asking it. */
  isAlive(resource: R): boolean
  /** Whether it is (still) what the pool wants: one that is not is not handed out again. Without it: always. */
  suits?(resource: R): boolean
  /** Asks it for a sign of life; false when there was none in time. Never rejects. */
  check(resource: R): Promise<boolean>
  /** Whether waiting cannot cure this failure to open: wrong password, no such database. */
  isHopeless(error: unknown): boolean
  /**
   * Whether this failure to open is about the one resource alone: the first caller in the line is told, and the next one
   * may be opened. Without it: never.
   */
  isRefusal?(error: unknown): boolean
  /** Tells about a connection that is held for too long, or came back after all. */
  onLeak?(leak: LeakReport): void
}

/** A connection that was held for longer than allowed. */
export interface LeakReport {
  /** How long it had been held, in milliseconds. */
  readonly heldMs: number
  /** Where it was acquired. */
  readonly acquireStack: string | undefined
  /** True when it has come back after all. */
  readonly returned: boolean
}
