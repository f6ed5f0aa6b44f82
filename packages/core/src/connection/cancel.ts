import { isIP, type Socket } from 'node:net'
import type { Clock, Timer } from '../deadline/clock.js'
import { inNoContext } from '../observe/context.js'
import type { InFlightQueue } from './in-flight.js'
import type { Operation } from './operation.js'
import { type ClientInternals, ConnectionBase } from './pg-internals.js'

/**
 * Asks the server to stop what the client's backend runs now, over a connection of its own with the same TLS settings.
 * Resolves true when the server has taken the request and closed that connection: the signal has then been sent, and
 * cannot hit a later statement. Resolves false when that was not seen in time. Never rejects: a cancel that cannot be
 * delivered leaves the statement running, which the caller of this bounds by itself.
 *
 * https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
 */
function cancelBackend(client: ClientInternals, clock: Clock, timeoutMs: number): Promise<boolean> {
  return inNoContext(() => cancel(client, clock, timeoutMs))
}

function cancel(client: ClientInternals, clock: Clock, timeoutMs: number): Promise<boolean> {
  const { processID, secretKey, host, port, sslNegotiation } = client
  const address = addressOf(client) ?? host
  // The name stays the one that a certificate is held against.
  const ssl = address === host ? client.ssl : servedAs(host, client.ssl)
  if (processID === null || secretKey === null) return Promise.resolve(false)
  return new Promise((resolve) => {
    const connection = new ConnectionBase({ ssl, sslNegotiation, keepAlive: false })
    // A server has nothing to say to it.
    connection.attachListeners = (stream) => stream.resume()
    let asked = false
    const finish = (): void => {
      clock.clearTimer(timer)
      connection.stream.destroy()
      resolve(asked)
    }
    const timer = clock.setTimer(timeoutMs, () => {
      asked = false
      finish()
    })
    const ask = (): void => {
      connection.cancel(processID, secretKey)
      asked = true
    }
    connection.on('error', () => {
      // Some servers reset the connection in place of closing it: the request was taken all the same.
    })
    connection.once('connect', () => {
      if (!ssl) ask()
      else if (sslNegotiation !== 'direct') connection.requestSsl()
    })
    connection.once('sslconnect', ask)
    connection.once('end', finish)
    if (host.startsWith('/')) connection.connect(`${host}/.s.PGSQL.${port}`)
    else connection.connect(port, address)
  })
}

/**
 * The address that a session is connected to. By now its name may lead to another server, where a backend of the same
 * number is somebody else's. Asked once while the socket is open, it is known after that too; undefined where the name
 * has to do.
 */
export function addressOf({ connection }: Pick<ClientInternals, 'connection'>): string | undefined {
  const { remoteAddress } = connection.stream as Partial<Socket>
  // A link-local address is none without its interface, which is not reported.
  return remoteAddress?.toLowerCase().startsWith('fe80:') === true ? undefined : remoteAddress
}

function servedAs(host: string, ssl: ClientInternals['ssl']): ClientInternals['ssl'] {
  if (ssl === false || isIP(host) !== 0) return ssl
  return { servername: host, ...(typeof ssl === 'object' ? ssl : {}) }
}

/** How long after a cancel request another one is sent, the first time; twice as long the next. */
const cancelAgainMs = 50
/** The longest of the pauses between requests for a backend whose connection is torn down. */
const longestAgainMs = 400
/** A connection whose cancelled statement does not end in this time is given up. */
const cancelBoundMs = 5_000
/** How long a statement may still run that was given up before its turn came: most are done before a cancel arrives. */
const patienceMs = 5

/** What comes of cancelling. */
export interface CancelOutcomes {
  /** The cancel is over, and can hit nothing that is sent from now on. */
  settled(): void
  /** The statement goes on in spite of it. */
  hopeless(): void
}

/**
 * Cancels what runs on one backend. A cancel hits whatever runs there when it arrives, and not a statement that was
 * meant: so only the one that is being answered is cancelled, and nothing is sent until both its answer and the end of
 * the cancel request have been seen. What had been sent after it is marked as exposed.
 */
export class Canceller {
  readonly #client: ClientInternals
  readonly #clock: Clock
  readonly #flight: InFlightQueue
  readonly #outcomes: CancelOutcomes
  /** The operation that is being cancelled, until it has been answered. */
  #target: Operation | undefined
  /** Cancel requests that are on their way. */
  #asking = 0
  #bound: Timer | undefined
  #patience: Timer | undefined

  constructor(client: ClientInternals, clock: Clock, flight: InFlightQueue, outcomes: CancelOutcomes) {
    this.#client = client
    this.#clock = clock
    this.#flight = flight
    this.#outcomes = outcomes
  }

  /** Whether something that is sent now could be hit. */
  get isBusy(): boolean {
    return this.#asking > 0
  }

  /** The caller of an operation that is under way has given up. */
  givenUp(operation: Operation): void {
    if (this.#flight.head === operation) this.#begin(operation)
  }

  /** An operation has been answered, and another one may have come to its turn. */
  headChanged(): void {
    const { head } = this.#flight
    if (this.#target !== undefined && head !== this.#target) {
      this.#target = undefined
      this.#clearBound()
    }
    if (head?.givenUp === undefined || this.#target !== undefined || this.#patience !== undefined) return
    this.#patience = this.#clock.setTimer(
      patienceMs,
      () => {
        this.#patience = undefined
        const now = this.#flight.head
        if (now?.givenUp !== undefined && this.#target === undefined) this.#begin(now)
      },
      true,
    )
  }

  /**
   * Stops what runs on a backend whose connection is torn down. More than once, while the server has not closed its side: a
   * request that overtakes its statement is lost, and the statement would run to its end with nobody to hear of it.
   */
  stopBackend(againMs = cancelAgainMs): void {
    const asked = this.#asking > 0 ? Promise.resolve() : cancelBackend(this.#client, this.#clock, cancelBoundMs)
    void asked.then(() => {
      const { stream } = this.#client.connection
      if (againMs > longestAgainMs || stream.readableEnded) return
      this.#clock.setTimer(
        againMs,
        () => {
          if (!stream.readableEnded) this.stopBackend(againMs * 2)
        },
        true,
      )
    })
  }

  /** The session has ended. */
  stop(): void {
    this.#target = undefined
    this.#clearBound()
    if (this.#patience !== undefined) this.#clock.clearTimer(this.#patience)
    this.#patience = undefined
  }

  #begin(operation: Operation): void {
    this.#target = operation
    this.#clearBound()
    this.#bound = this.#clock.setTimer(cancelBoundMs, () => this.#outcomes.hopeless(), true)
    this.#ask(operation, cancelAgainMs)
  }

  /**
   * Sends a cancel request, and another one when the statement goes on: a request that overtakes its statement on the
   * way to the server finds the backend idle, and is lost.
   */
  #ask(operation: Operation, againMs: number): void {
    this.#asking += 1
    for (const one of this.#flight.all()) if (one !== operation) one.isExposed = true
    void cancelBackend(this.#client, this.#clock, cancelBoundMs).then(() => {
      this.#asking -= 1
      if (this.#flight.head !== operation) {
        this.#outcomes.settled()
        this.headChanged()
        return
      }
      this.#clock.setTimer(
        againMs,
        () => {
          if (this.#flight.head === operation) this.#ask(operation, againMs * 2)
        },
        true,
      )
    })
  }

  #clearBound(): void {
    if (this.#bound !== undefined) this.#clock.clearTimer(this.#bound)
    this.#bound = undefined
  }
}
