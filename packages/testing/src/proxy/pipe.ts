import type { Socket } from 'node:net'
import type { DelayLine } from './delay-line.js'
import type { FrameReader, FrameVisitor } from './frame-reader.js'
import type { Direction } from './messages.js'
import type { PreciseTimer } from './precise-timer.js'
import type { RuleAction } from './rule.js'

/** What a pipe asks its link, and reports to it. */
export interface PipeOwner {
  /** A message is about to be forwarded. An action keeps it and all after it from going on. */
  beforeMessage(direction: Direction, code: number, prefix: Buffer): RuleAction | undefined
  /** A message was forwarded. An action keeps all after it from going on. */
  afterMessage(direction: Direction, code: number): RuleAction | undefined
  /** Nothing can be seen in this direction from here on. */
  blinded(direction: Direction, why: 'tls' | 'malformed'): void
  /** All in front of the boundary was handed to the destination; now the action is due. */
  act(direction: Direction, action: 'cut' | 'fin' | 'stall'): void
  /** The source was reset, and all that it sent before has been delivered. */
  resetDestination(direction: Direction): void
}

/** What a pipe is made of. */
export interface PipeParts {
  readonly direction: Direction
  readonly source: Socket
  readonly destination: Socket
  readonly line: DelayLine
  readonly reader: FrameReader
  readonly timer: PreciseTimer
  readonly owner: PipeOwner
}

/**
 * One direction of one connection: source -> delay line -> message boundaries and rules -> destination.
 * Rules look at the far end of the delay line, so that 'forwarded' means handed to the destination's socket.
 */
export class Pipe implements FrameVisitor {
  /** Bytes read from the source. */
  bytes = 0
  readonly #parts: PipeParts
  /** discarding: messages are followed but not forwarded; dropped: bytes are thrown away unseen. */
  #mode: 'flowing' | 'discarding' | 'dropped' = 'flowing'
  #destinationReady = false
  #stalled = false
  #delayedUntil = 0
  #paused = false
  #action: RuleAction | undefined
  /** Start of a message of which too little has come to look at it. */
  #rest: Buffer | undefined

  constructor(parts: PipeParts) {
    this.#parts = parts
    const { source, destination } = parts
    source.on('data', (chunk: Buffer) => this.#arrived(chunk))
    source.on('end', () => this.sourceEnded('fin'))
    destination.on('drain', () => this.#pump())
  }

  get stalled(): boolean {
    return this.#stalled
  }

  /** The destination can be written to. */
  destinationConnected(): void {
    this.#destinationReady = true
    this.#pump()
  }

  /** The source sends no more; the destination learns of it after the bytes under way. */
  sourceEnded(how: 'fin' | 'rst'): void {
    if (this.#mode !== 'flowing') return
    this.#parts.line.push(how)
    this.#pump()
  }

  stall(): void {
    this.#stalled = true
    this.#settleFlow()
  }

  resume(): void {
    this.#stalled = false
    this.#pump()
  }

  /** Throws away what is under way and all that comes, and keeps reading so that the source is not reset. */
  drop(): void {
    this.#mode = 'dropped'
    this.#rest = undefined
    this.#parts.line.takeAll()
    this.#settleFlow()
  }

  /** Follows the messages under way and all that come without forwarding them. */
  discard(): void {
    this.#mode = 'discarding'
    for (const parcel of this.#parts.line.takeAll()) if (typeof parcel !== 'string') this.#forward(parcel)
    this.#settleFlow()
  }

  /** For FrameReader. */
  begin(code: number, prefix: Buffer): boolean {
    this.#action = this.#parts.owner.beforeMessage(this.#parts.direction, code, prefix)
    return this.#action === undefined
  }

  /** For FrameReader. */
  end(code: number): boolean {
    this.#action = this.#parts.owner.afterMessage(this.#parts.direction, code)
    return this.#action === undefined
  }

  /** For FrameReader. */
  blinded(why: 'tls' | 'malformed'): void {
    this.#parts.owner.blinded(this.#parts.direction, why)
  }

  #arrived(chunk: Buffer): void {
    this.bytes += chunk.length
    if (this.#mode === 'dropped') return
    if (this.#mode === 'discarding' || (this.#parts.line.clear && !this.#blocked())) {
      this.#forward(chunk)
      this.#settleFlow()
      return
    }
    this.#parts.line.push(chunk)
    this.#pump()
  }

  #blocked(): boolean {
    return this.#stopped() || this.#delayedUntil > performance.now()
  }

  /** Waits for an event, not for a point in time. */
  #stopped(): boolean {
    return this.#stalled || !this.#destinationReady || this.#parts.destination.writableNeedDrain
  }

  readonly #pump = (): void => {
    const { line, timer } = this.#parts
    while (this.#mode === 'flowing' && !this.#blocked()) {
      const parcel = line.take()
      if (parcel === undefined) break
      if (typeof parcel === 'string') this.#finish(parcel)
      else this.#forward(parcel)
    }
    const next = line.nextDueAt
    if (next !== undefined && !this.#stopped()) timer.callAt(Math.max(next, this.#delayedUntil), this.#pump)
    this.#settleFlow()
  }

  #finish(how: 'fin' | 'rst'): void {
    const { destination, direction, owner } = this.#parts
    if (how === 'rst') {
      owner.resetDestination(direction)
    } else if (!destination.destroyed) {
      if (this.#rest !== undefined) destination.write(this.#rest)
      destination.end()
    }
    this.#rest = undefined
  }

  #forward(chunk: Buffer): void {
    const { destination, direction, line, owner, reader } = this.#parts
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk])
    this.#rest = undefined
    const passed = reader.read(bytes, this)
    if (passed > 0 && this.#mode === 'flowing' && !destination.destroyed) {
      destination.write(passed === bytes.length ? bytes : bytes.subarray(0, passed))
    }
    const action = this.#action
    this.#action = undefined
    if (action === undefined) {
      if (passed < bytes.length) this.#rest = bytes.subarray(passed)
      return
    }
    if (passed < bytes.length) line.putBack(bytes.subarray(passed))
    if (typeof action === 'string') {
      owner.act(direction, action)
    } else {
      this.#delayedUntil = performance.now() + action.delayMs
      this.#parts.timer.callAt(this.#delayedUntil, this.#pump)
    }
  }

  /** Backpressure: the source is read only as long as there is somewhere to put what it sends. */
  #settleFlow(): void {
    const pause = this.#mode === 'flowing' && (this.#stopped() || this.#parts.line.full)
    if (pause === this.#paused) return
    this.#paused = pause
    if (pause) this.#parts.source.pause()
    else this.#parts.source.resume()
  }
}
