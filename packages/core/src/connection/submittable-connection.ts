import { Duplex } from 'node:stream'
import { nextTick } from '../deadline/clock.js'
import type { WireConnection } from './pg-internals.js'

/** What a submittable writes with. */
const writing: ReadonlySet<PropertyKey> = new Set([
  'query',
  'parse',
  'bind',
  'describe',
  'execute',
  'flush',
  'sync',
  'close',
  'sendCopyFromChunk',
  'sendCopyFail',
  'endCopyFrom',
])
/** Each of these is answered by ReadyForQuery. */
const ending: ReadonlySet<PropertyKey> = new Set(['query', 'sync'])

/**
 * The connection as a submittable gets it: `pg`'s own, until the exchange is over. What it writes after that goes nowhere,
 * as somebody else has the connection by then.
 */
export class SubmittableConnection {
  /** What the submittable is given. */
  readonly face: WireConnection
  /** The first text that it has sent. */
  sentText: string | undefined
  readonly #connection: WireConnection
  readonly #now: () => number
  #busySince = 0
  #ranMs: number | undefined
  #isClosed = false
  #isReady = false
  #hasEnd = false
  #isBusy = false

  /** @param now reads the clock of the connection */
  constructor(connection: WireConnection, now: () => number) {
    this.#connection = connection
    this.#now = now
    const bound = new Map<PropertyKey, unknown>()
    this.face = new Proxy(connection, {
      get: (target, key) => {
        // COPY streams read and write it themselves.
        if (key === 'stream' && this.#isClosed) return nowhere
        const value: unknown = Reflect.get(target, key, target)
        if (typeof value !== 'function') return value
        const known = bound.get(key) ?? this.#methodFor(key, value as Method)
        bound.set(key, known)
        return known
      },
    })
    // Before those who start what comes next.
    connection.prependOnceListener('readyForQuery', this.#whenReady)
  }

  /** Whether the server waits for more of the submittable: it has sent nothing that is answered by ReadyForQuery. */
  get isOpen(): boolean {
    return !this.#hasEnd && !this.#isReady
  }
  /** Whether its exchange is over. */
  get isReady(): boolean {
    return this.#isReady
  }
  /** Whether the submittable has taken the reading of the socket from its connection, so that nothing comes when it does not read. */
  get hasSocket(): boolean {
    return this.#connection.stream.listenerCount('data') === 0
  }
  /** Whether the server was asked for rows that have not all come. */
  get isBusy(): boolean {
    return this.#isBusy
  }

  /** How long the server was asked for rows, in milliseconds; undefined where it was asked in another way. */
  get ranMs(): number | undefined {
    return this.#isBusy ? (this.#ranMs ?? 0) + this.#now() - this.#busySince : this.#ranMs
  }

  /** The rows have come, or will not. */
  answered(): void {
    this.#ranMs = this.ranMs
    this.#isBusy = false
  }

  /** Ends the exchange, unless the submittable has done so. */
  end(): void {
    if (this.isOpen && this.#connection.stream.writable) this.face.sync()
  }

  /** Makes the server undo a COPY that waits for data; in any other state it ignores that. */
  failCopy(why: string): void {
    if (this.#connection.stream.writable) this.face.sendCopyFail(why)
  }

  /** Takes the socket from the submittable. What is in the middle of a message is lost with that, so the session has to end. */
  takeSocket(): void {
    this.#connection.stream.removeAllListeners('readable')
  }

  /** Nothing of the submittable is written any more. */
  close(): void {
    this.#isClosed = true
  }

  /** Nothing was sent, and no answer will come. */
  unused(): void {
    this.#connection.off('readyForQuery', this.#whenReady)
    this.#whenReady()
  }

  readonly #whenReady = (): void => {
    this.#isReady = true
    this.#isClosed = true
  }

  #methodFor(key: PropertyKey, method: Method): Method {
    const connection = this.#connection
    if (writing.has(key)) {
      return (...args) => {
        if (this.#isClosed) return undefined
        if (ending.has(key)) this.#hasEnd = true
        if (key === 'execute') {
          if (!this.#isBusy) this.#busySince = this.#now()
          this.#isBusy = true
        }
        if (key === 'parse' || key === 'query') this.sentText ??= textSent(args[0])
        return method.apply(connection, args)
      }
    }
    if (key === 'once') {
      return (event, listener) => {
        // Cursors wait for it when they are closed: it has come, and the next one is somebody else's.
        if (event === 'readyForQuery' && this.#isReady) nextTick(listener as () => void)
        else method.call(connection, event, listener)
        return this.face
      }
    }
    return method.bind(connection)
  }
}

/** Of a Parse or of a simple query. */
function textSent(argument: unknown): string | undefined {
  const text = typeof argument === 'object' && argument !== null ? (argument as { text?: unknown }).text : argument
  return typeof text === 'string' ? text : undefined
}

/** The socket of a submittable whose exchange is over: nothing comes, and nothing leaves. */
const nowhere = new Duplex({
  read: () => undefined,
  write: (_chunk, _encoding, done) => done(),
})

type Method = (...args: unknown[]) => unknown
