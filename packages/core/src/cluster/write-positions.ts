import type { Clock } from '../deadline/clock.js'
import { Deadline } from '../deadline/deadline.js'
import type { Server } from '../server/server.js'
import type { Causality, CausalToken } from './causality.js'
import type { RouteReason } from './events.js'
import { positionOf, positionSql } from './probe.js'
import type { Topology } from './topology.js'

/** How long a position is waited for; then it counts as unknown, and reads that need it go to the primary. */
const boundMs = 5_000

/**
 * Asks the primary for its position in the log, after writes that have been answered. The position is at or after everything
 * committed before it was asked for, so one question serves all writes that ended before it was sent: under load one in
 * flight and one to follow, however many write.
 */
export class WritePositions {
  readonly #server: Server
  readonly #clock: Clock
  #running: Promise<CausalToken> | undefined
  #next: Promise<CausalToken> | undefined

  constructor(server: Server) {
    this.#server = server
    this.#clock = server.environment.clock
  }

  /** A position that is asked for after this call. Rejects when the primary does not answer in time. */
  next(): Promise<CausalToken> {
    if (this.#running === undefined) return this.#start()
    this.#next ??= this.#running.then(this.#follow, this.#follow)
    return this.#next
  }

  readonly #follow = (): Promise<CausalToken> => {
    this.#next = undefined
    return this.#start()
  }

  #start(): Promise<CausalToken> {
    const running = this.#ask()
    this.#running = running
    const done = (): void => {
      if (this.#running === running) this.#running = undefined
    }
    running.then(done, done)
    return running
  }

  async #ask(): Promise<CausalToken> {
    const deadline = Deadline.after(boundMs, this.#clock)
    const { rows } = await this.#server.query({ text: positionSql, rowMode: 'array' }, deadline, undefined)
    return positionOf(rows[0])
  }
}

/** The position of a write is worth a round trip, even to reads that do not wait for a replica, in milliseconds. */
const leastWaitMs = 50

/** Finds out where lines of work have written, so that replicas can be compared with it. */
export class CausalWrites {
  readonly #positions: Pick<WritePositions, 'next'>
  readonly #topology: Pick<Topology, 'writer'>
  readonly #clock: Clock
  readonly #waitMs: number

  /** @param waitMs how long a read waits for a replica to show what was written */
  constructor(
    positions: Pick<WritePositions, 'next'>,
    topology: Pick<Topology, 'writer'>,
    clock: Clock,
    waitMs: number,
  ) {
    this.#positions = positions
    this.#topology = topology
    this.#clock = clock
    this.#waitMs = waitMs
  }

  /** Whether the primary is known not to report where it has written: then whoever has written reads there. */
  get isMute(): boolean {
    const status = this.#topology.writer?.status
    return status !== undefined && status.lsn === undefined
  }

  /** Something was written in this line of work; its position follows, and its reads wait for that. */
  wrote(causality: Causality): void {
    if (this.isMute) causality.noteUnknown()
    else causality.noteSoon(this.#positions.next())
  }

  /** Where the primary is now: at or after everything that has been committed. */
  position(): Promise<CausalToken> {
    return this.#positions.next()
  }

  /**
   * Sees to it that the position of all that was written before is known. Gives the reason when it is not, or could not be
   * found out in time: then only the primary will do.
   */
  async settle(causality: Causality | undefined, deadline: Deadline): Promise<RouteReason | undefined> {
    if (causality === undefined || (!causality.isPending && !causality.isUnknown)) return undefined
    if (this.isMute) return 'no-position'
    const over = Promise.withResolvers<false>()
    const timer = this.#clock.setTimer(Math.max(leastWaitMs, this.#waitMs), () => over.resolve(false))
    try {
      const isSettled = await deadline.within(Promise.race([this.#findOut(causality), over.promise]))
      return isSettled ? undefined : 'causality'
    } finally {
      this.#clock.clearTimer(timer)
    }
  }

  async #findOut(causality: Causality): Promise<boolean> {
    await causality.settled()
    if (!causality.isUnknown) return true
    const { unknowns } = causality
    try {
      causality.settleUnknown(await this.position(), unknowns)
      return true
    } catch {
      return false // the primary, which the read then goes to, says itself what is wrong with it
    }
  }
}

/** Takes the position after a COMMIT, in the same round trip, for the line of work that committed. */
export class CommitFollower {
  /** What is asked after COMMIT. */
  readonly text = positionSql
  readonly #causality: Causality

  constructor(causality: Causality) {
    this.#causality = causality
  }

  /** It was committed, and this is the row that the question after it gave. */
  committed(row: unknown): void {
    this.#causality.note(positionOf(row))
  }

  /** It was or may have been committed, and nobody said where. */
  unknown(): void {
    this.#causality.noteUnknown()
  }
}
