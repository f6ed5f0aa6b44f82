/** How a connection is slowed down. */
export interface Shape {
  /** Added to a round trip in milliseconds: half of it on each way. */
  readonly roundTripMs: number
  /** At most this many milliseconds more for a round trip: a uniform random share of half of it on each way. */
  readonly jitterMs: number
  /** Bytes per second, for each connection and each way; Infinity for no limit. */
  readonly bandwidthBytesPerSecond: number
}

/** What travels: bytes, or the end of them. */
export type Parcel = Buffer | 'fin' | 'rst'

/** What a delay line needs from outside: the time, and numbers in [0, 1). */
export interface DelayLineEnvironment {
  /** Milliseconds with a fraction, monotonic. */
  now(): number
  random(): number
}

/**
 * More than this is not held for the sake of latency. It bounds the throughput at (this / one-way delay): 16 MiB over
 * 50 ms is 335 MB/s.
 */
const maxBytesInFlight = 16 * 1024 * 1024

/** Bytes beyond what the bandwidth can carry within the delay: a router's queue. */
const routerQueueBytes = 64 * 1024

/** With a bandwidth set, a parcel is cut into pieces that take this long, so that bytes trickle instead of leaping. */
const pieceMs = 5
const minPieceBytes = 64

/**
 * One direction of one connection as a network would carry it. Order is kept; each parcel is delayed from its own
 * arrival, so a pipelining client is slowed down by one delay, not by one per message.
 */
export class DelayLine {
  readonly #environment: DelayLineEnvironment
  #shape: Shape
  #parcels: { readonly parcel: Parcel; readonly dueAt: number }[] = []
  #head = 0
  #bytes = 0
  #lastDueAt = 0
  #wireFreeAt = 0

  constructor(shape: Shape, environment: DelayLineEnvironment) {
    this.#shape = shape
    this.#environment = environment
  }

  /** Holds for parcels from now on. Those under way keep their time, and later ones never overtake them. */
  setShape(shape: Shape): void {
    this.#shape = shape
  }

  /** True when a parcel pushed now could be taken at once: the fast path may go around the line. */
  get clear(): boolean {
    const { roundTripMs, jitterMs, bandwidthBytesPerSecond } = this.#shape
    return this.empty && roundTripMs === 0 && jitterMs === 0 && bandwidthBytesPerSecond === Infinity
  }

  /** True when nothing is under way. */
  get empty(): boolean {
    return this.#head === this.#parcels.length
  }

  /** True when the sender should wait. */
  get full(): boolean {
    const { roundTripMs, jitterMs, bandwidthBytesPerSecond } = this.#shape
    if (bandwidthBytesPerSecond === Infinity) return this.#bytes >= maxBytesInFlight
    const carried = (bandwidthBytesPerSecond * (roundTripMs + jitterMs)) / 2000
    return this.#bytes >= Math.min(maxBytesInFlight, carried + routerQueueBytes)
  }

  /** When the next parcel is due, in the environment's milliseconds; undefined when the line is empty. */
  get nextDueAt(): number | undefined {
    return this.#parcels[this.#head]?.dueAt
  }

  /** Puts a parcel on its way. */
  push(parcel: Parcel): void {
    const { bandwidthBytesPerSecond } = this.#shape
    if (typeof parcel === 'string' || bandwidthBytesPerSecond === Infinity) {
      this.#enqueue(parcel, this.#environment.now())
      return
    }
    const pieceBytes = Math.max(minPieceBytes, Math.floor((bandwidthBytesPerSecond * pieceMs) / 1000))
    const now = this.#environment.now()
    for (let at = 0; at < parcel.length; at += pieceBytes) {
      const piece = parcel.subarray(at, at + pieceBytes)
      this.#wireFreeAt = Math.max(this.#wireFreeAt, now) + (piece.length * 1000) / bandwidthBytesPerSecond
      this.#enqueue(piece, this.#wireFreeAt)
    }
  }

  /** Puts back, to be the next one out and at once, what was taken but could not go on. */
  putBack(bytes: Buffer): void {
    const entry = { parcel: bytes, dueAt: 0 }
    if (this.#head > 0) this.#parcels[--this.#head] = entry
    else this.#parcels.unshift(entry)
    this.#bytes += bytes.length
  }

  /** The next parcel that is due, or undefined. */
  take(): Parcel | undefined {
    const entry = this.#parcels[this.#head]
    if (entry === undefined || entry.dueAt > this.#environment.now()) return undefined
    return this.#shift(entry.parcel)
  }

  /** Everything that is under way, due or not. */
  takeAll(): Parcel[] {
    const parcels = this.#parcels.slice(this.#head).map((entry) => entry.parcel)
    this.#parcels = []
    this.#head = 0
    this.#bytes = 0
    return parcels
  }

  #enqueue(parcel: Parcel, sentAt: number): void {
    const { roundTripMs, jitterMs } = this.#shape
    const jitter = jitterMs === 0 ? 0 : this.#environment.random() * jitterMs
    this.#lastDueAt = Math.max(this.#lastDueAt, sentAt + (roundTripMs + jitter) / 2)
    this.#parcels.push({ parcel, dueAt: this.#lastDueAt })
    if (typeof parcel !== 'string') this.#bytes += parcel.length
  }

  #shift(parcel: Parcel): Parcel {
    this.#head++
    if (typeof parcel !== 'string') this.#bytes -= parcel.length
    if (this.empty) {
      this.#parcels = []
      this.#head = 0
    } else if (this.#head > 1024 && this.#head * 2 > this.#parcels.length) {
      this.#parcels = this.#parcels.slice(this.#head)
      this.#head = 0
    }
    return parcel
  }
}
