import type { Clock, Random } from '../deadline/clock.js'
import { breakerVerdict, classify } from '../errors/classify.js'
import { LifeguardError } from '../errors/lifeguard-error.js'
import { BreakerOpenError } from '../errors/pool-errors.js'
import { sqlStateOf } from '../errors/sqlstate.js'
import type { ResolvedBreakerOptions } from './circuit-breaker.js'
import {
  type BreakerFigures,
  type BreakerState,
  type BreakerTransition,
  CircuitBreaker,
  type Permit,
} from './circuit-breaker.js'

/** A breaker at one moment. */
export interface BreakerStats extends BreakerFigures {
  readonly state: BreakerState
  /** Why it last changed; undefined while it never has. */
  readonly reason: BreakerTransition['reason'] | undefined
  /** How long it has been in this state, in milliseconds. */
  readonly sinceMs: number
  /** How long until calls are let through again, in milliseconds; `0` unless open. */
  readonly retryAfterMs: number
  /** How often it has opened since the pool was made. */
  readonly opened: number
}

/**
 * The circuit breaker of one server: what counts as a call, and what as its failure. See docs/breaker.md.
 *
 * A statement counts when it is answered. Of the wait for a connection only its end counts: a caller that got none
 * because the server could not be reached. Attempts to connect do not count by themselves: there are many of them while
 * callers wait, and a restart that is over before any caller gives up is no reason to reject anybody.
 */
export class ServerBreaker<Key extends object> {
  readonly #address: () => string
  readonly #clock: Clock
  readonly #slowAfterMs: number
  readonly #breaker: CircuitBreaker
  readonly #probes = new Map<Key, Permit>()
  #lastFailure: unknown
  /** A session was lost, and the server has not answered since: others lost with it are the same failure. */
  #hasLostSessions = false
  /** A statement's time was up, the server did not even answer its cancellation, and has not answered since. */
  #isSilent = false
  #lastReason: BreakerTransition['reason'] | undefined
  #changedAt: number
  #opened = 0

  /**
   * @param address which server it is at the moment, for messages
   * @param changed called after each change of state
   */
  constructor(
    address: () => string,
    options: ResolvedBreakerOptions,
    environment: { readonly clock: Clock; readonly random: Random },
    changed: (transition: BreakerTransition, lastFailure: unknown) => void,
  ) {
    this.#address = address
    this.#clock = environment.clock
    this.#changedAt = environment.clock.now()
    this.#slowAfterMs = options.slowAfterMs
    this.#breaker = new CircuitBreaker(options, environment.random, (transition) => {
      this.#lastReason = transition.reason
      this.#changedAt = this.#clock.now()
      if (transition.to === 'open') this.#opened += 1
      changed(transition, this.#lastFailure)
    })
  }

  /** Whether every call is let through. */
  get isClosed(): boolean {
    return this.#breaker.state === 'closed'
  }
  /** Goes with each statement, so that an answer is counted only in the state in which it was asked for. */
  get epoch(): number {
    return this.#breaker.epoch
  }

  stats(): BreakerStats {
    const now = this.#clock.now()
    return {
      state: this.#breaker.state,
      reason: this.#lastReason,
      sinceMs: now - this.#changedAt,
      retryAfterMs: this.#breaker.retryAfterMs(now),
      opened: this.#opened,
      ...this.#breaker.figures(now),
    }
  }

  /** Whether it is open because the server was out of reach: then it is probed. */
  get isOpenForReach(): boolean {
    // A server that is slow was never out of reach, whatever had failed before.
    if (this.#breaker.state !== 'open' || this.#lastReason === 'slow-rate') return false
    const kind = classify(this.#lastFailure, 'connect')
    return kind === 'connection' || kind === 'unavailable' || isTimeout(this.#lastFailure)
  }

  /** A server that was out of reach answers again. */
  serverAnswers(): void {
    if (this.isOpenForReach) this.#breaker.serverAnswers(this.#clock.now())
  }

  /** Asks to take a connection. @throws BreakerOpenError */
  admit(): Permit {
    const permit = this.#breaker.admit(this.#clock.now())
    if (permit === undefined) throw this.refusal()
    return permit
  }

  /** The error for a caller that is rejected; made anew for each, as each has a stack of its own. */
  refusal(): BreakerOpenError {
    const now = this.#clock.now()
    const cause = this.#lastFailure
    const figures = this.#breaker.figures(now)
    const options = cause === undefined ? undefined : { cause }
    return new BreakerOpenError(this.#address(), this.#breaker.retryAfterMs(now), figures, options)
  }

  /** An admitted caller got this connection. What runs on it decides the probe. */
  acquired(permit: Permit, connection: Key): void {
    if (permit.isProbe) this.#probes.set(connection, permit)
  }

  /** An admitted caller got no connection. */
  refused(permit: Permit, error: unknown): void {
    let verdict = breakerVerdict(error, 'connect')
    // A busy pool means nothing for its server, unless it is busy because the server does not answer.
    if (this.#isSilent && LifeguardError.isInstance(error) && error.code === 'LIFEGUARD_ACQUIRE_TIMEOUT') {
      verdict = 'failure'
    }
    if (verdict === 'failure' && this.#lastFailure === undefined) this.#lastFailure = error
    this.#breaker.settle(permit, verdict, this.#clock.now())
  }

  /** A connection was released: if nothing that ran on it has decided the probe, another one may try. */
  released(connection: Key): void {
    if (this.#probes.size === 0) return
    const permit = this.#probes.get(connection)
    if (permit === undefined) return
    this.#probes.delete(connection)
    this.#breaker.settle(permit, 'neutral', this.#clock.now())
  }

  /** A statement was answered, or given up. */
  answered(connection: Key, epoch: number, error: unknown, durationMs: number): void {
    let verdict = breakerVerdict(error)
    const isLost = verdict === 'failure' && classify(error) === 'connection'
    if (verdict === 'failure') {
      this.#lastFailure = error
      if (isTimeout(error)) this.#isSilent = true
    } else if (error === undefined || sqlStateOf(error) !== undefined) this.signOfLife()
    if (verdict === 'success' && durationMs > this.#slowAfterMs) verdict = 'slow'
    if (this.#probes.size > 0) {
      const permit = this.#probes.get(connection)
      if (permit !== undefined && verdict !== 'neutral') {
        this.#probes.delete(connection)
        this.#breaker.settle(permit, verdict, this.#clock.now())
        return
      }
    }
    if (isLost && this.#hasLostSessions) return
    if (isLost) this.#hasLostSessions = true
    this.#breaker.observe(epoch, verdict, this.#clock.now())
  }

  /** The server has answered, whatever it was. */
  signOfLife(): void {
    this.#hasLostSessions = false
    this.#isSilent = false
  }

  /** Could not connect: that is the cause for those who are rejected, and no call by itself. */
  connectFailed(error: unknown): void {
    this.#lastFailure = error
  }
}

function isTimeout(error: unknown): boolean {
  return LifeguardError.isInstance(error) && error.code === 'LIFEGUARD_TIMEOUT'
}
