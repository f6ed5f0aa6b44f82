import type { Clock, Timer } from '../../deadline/clock.js'
import type { RoleReports } from '../server-role.js'
import { type Endpoint, endpointText } from './endpoint.js'
import type { TargetSessionAttrs } from './settings.js'

/**
 * Why a session is not what was asked for, for messages; undefined when it is, or when the server has not said enough.
 * https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-CONNECT-TARGET-SESSION-ATTRS
 */
export function misfit(reports: RoleReports, wanted: TargetSessionAttrs): string | undefined {
  const { role, isReadWrite } = reports
  switch (wanted) {
    case 'any':
      return undefined
    case 'read-write':
      return isReadWrite === false ? `is read-only (${role})` : undefined
    case 'read-only':
      return isReadWrite === true ? 'is read-write' : undefined
    case 'primary':
      return role === 'standby' ? 'is a standby' : undefined
    case 'standby':
    case 'prefer-standby':
      return role === 'primary' ? 'is a primary' : undefined
  }
}

/**
 * How long an attempt has before the next endpoint is tried beside it: a host that swallows packets delays by this, not
 * by the time to connect. The value of RFC 8305, "Connection Attempt Delay".
 */
const staggerMs = 250

/** How to open something at one of several endpoints. */
export interface OpenFirst<C> {
  /** In the order in which they are tried. */
  readonly endpoints: readonly Endpoint[]
  /** Aborting `signal` tears an attempt down that is still under way. */
  open(endpoint: Endpoint, signal: AbortSignal): Promise<C>
  /** Why what was opened is not what is wanted; undefined when it is. */
  misfit(opened: C): Promise<string | undefined>
  /** Closes what was opened and is not needed. */
  close(opened: C): void
  /** Whether one that does not fit is taken when no endpoint has one that does. */
  readonly takesMisfits: boolean
  /** What is wanted, for messages. */
  readonly wanted: string
  readonly clock: Clock
}

/**
 * Opens at the first endpoint that fits. The endpoints are tried in order; the next one when the last has failed or has
 * been silent for 250 ms. The first that fits wins; the others are closed, and attempts
 * under way are torn down.
 *
 * @throws AggregateError when none fits; its `errors` has one for each endpoint, in order, and its message all of them
 */
export function openFirst<C>(how: OpenFirst<C>): Promise<C> {
  return new Promise((resolve, reject) => new Race(how, resolve, reject).next())
}

/** What was opened is alive and well, and not what is wanted. */
class Misfit extends Error {}

class Race<C> {
  readonly #how: OpenFirst<C>
  readonly #resolve: (opened: C) => void
  readonly #reject: (error: unknown) => void
  readonly #errors: unknown[] = []
  readonly #abort = new AbortController()
  #started = 0
  #running = 0
  #isOver = false
  #timer: Timer | undefined
  /** The first that was opened and does not fit, kept while another may. */
  #misfit: { readonly opened: C } | undefined

  constructor(how: OpenFirst<C>, resolve: (opened: C) => void, reject: (error: unknown) => void) {
    this.#how = how
    this.#resolve = resolve
    this.#reject = reject
  }

  /** Tries the next endpoint, or ends when there is none and nothing is under way. */
  next(): void {
    const { endpoints, clock } = this.#how
    if (this.#timer !== undefined) clock.clearTimer(this.#timer)
    this.#timer = undefined
    const at = this.#started
    const endpoint = endpoints[at]
    if (endpoint === undefined) {
      if (this.#running === 0) this.#end()
      return
    }
    this.#started += 1
    this.#running += 1
    if (this.#started < endpoints.length) this.#timer = clock.setTimer(staggerMs, () => this.next())
    void this.#attempt(endpoint, at)
  }

  async #attempt(endpoint: Endpoint, at: number): Promise<void> {
    let opened: C | undefined
    try {
      opened = await this.#how.open(endpoint, this.#abort.signal)
      if (this.#isOver) return this.#how.close(opened)
      const why = await this.#how.misfit(opened)
      if (this.#isOver) return this.#how.close(opened)
      if (why === undefined) return this.#win(opened)
      this.#errors[at] = new Misfit(`${why}, and ${this.#how.wanted} is wanted`)
      if (this.#how.takesMisfits && this.#misfit === undefined) this.#misfit = { opened }
      else this.#how.close(opened)
    } catch (error) {
      if (opened !== undefined) this.#how.close(opened)
      this.#errors[at] = error
    }
    this.#running -= 1
    if (!this.#isOver) this.next()
  }

  #win(opened: C): void {
    this.#isOver = true
    this.#abort.abort()
    if (this.#timer !== undefined) this.#how.clock.clearTimer(this.#timer)
    if (this.#misfit !== undefined) this.#how.close(this.#misfit.opened)
    this.#resolve(opened)
  }

  #end(): void {
    const { endpoints } = this.#how
    this.#isOver = true
    if (this.#misfit !== undefined) {
      this.#resolve(this.#misfit.opened)
      return
    }
    const said = endpoints.map((endpoint, at) => `${endpointText(endpoint)} ${saidBy(this.#errors[at])}`)
    this.#reject(
      endpoints.length === 1 && !(this.#errors[0] instanceof Misfit)
        ? this.#errors[0]
        : new AggregateError(this.#errors, said.join('; ')),
    )
  }
}

function saidBy(error: unknown): string {
  if (error instanceof Misfit) return error.message
  return `failed: ${error instanceof Error ? error.message || error.name : String(error)}`
}
