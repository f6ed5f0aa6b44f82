import { type NetConnectOpts, Socket } from 'node:net'
import type { ConnectionIdentity } from './connection-filter.js'
import { DelayLine, type Shape } from './delay-line.js'
import { FrameReader } from './frame-reader.js'
import { type Direction, ToClient, ToServer } from './messages.js'
import { Pipe, type PipeOwner } from './pipe.js'
import type { PreciseTimer } from './precise-timer.js'
import type { RuleAction } from './rule.js'
import { type RuleBook, strongestAction } from './rule-book.js'
import { seededRandom } from './seeded-random.js'
import { ServerDebt } from './server-debt.js'
import { startupParameters } from './startup-parameters.js'
import { StatementTracker, textAt } from './statement-tracker.js'

/** What a link needs from the proxy around it. */
export interface LinkEnvironment {
  readonly target: NetConnectOpts
  readonly timer: PreciseTimer
  readonly rules: RuleBook
  readonly seed: number
  countMessage(direction: Direction, code: number): void
  countSocketError(error: Error): void
  countRefusal(): void
  fired(ruleId: number, link: Link): void
  blinded(link: Link): void
  closed(link: Link): void
}

const encrypted = new Set(['S'.charCodeAt(0), 'G'.charCodeAt(0)])
const noStatements: readonly string[] = []

/** One client, its connection to the server, and the two pipes between them. */
export class Link implements ConnectionIdentity, PipeOwner {
  readonly id: number
  /** Milliseconds since the epoch. */
  readonly openedAt = performance.timeOrigin + performance.now()
  applicationName: string | undefined
  user: string | undefined
  database: string | undefined
  readonly #environment: LinkEnvironment
  readonly #client: Socket
  readonly #server = new Socket({ allowHalfOpen: true })
  readonly #lines: Readonly<Record<Direction, DelayLine>>
  readonly #readers: Readonly<Record<Direction, FrameReader>>
  readonly #pipes: Readonly<Record<Direction, Pipe>>
  readonly #statements = new StatementTracker()
  readonly #debt = new ServerDebt()
  /** What text rules see of the message under way. */
  readonly #text: Record<Direction, string | undefined> = { 'to-server': undefined, 'to-client': undefined }
  #serverState: 'new' | 'connecting' | 'connected' = 'new'
  #cut = false
  #encryptionAnswer = 0
  #socketsOpen = 2

  constructor(id: number, client: Socket, shape: Shape, environment: LinkEnvironment) {
    this.id = id
    this.#client = client
    this.#environment = environment
    this.#lines = { 'to-server': this.#newLine(shape, 0), 'to-client': this.#newLine(shape, 1) }
    this.#readers = { 'to-server': new FrameReader('to-server'), 'to-client': new FrameReader('to-client') }
    this.#pipes = { 'to-server': this.#newPipe('to-server'), 'to-client': this.#newPipe('to-client') }
    client.setNoDelay(true)
    this.#server.setNoDelay(true)
    client.on('error', (error) => this.#clientFailed(error))
    this.#server.on('error', (error) => this.#serverFailed(error))
    this.#server.on('connect', () => {
      this.#serverState = 'connected'
      this.#pipes['to-server'].destinationConnected()
    })
    this.#server.on('end', () => {
      // Nobody forwards the end of a connection that was cut; without it the socket would stay half open.
      if (this.#cut) this.#server.end()
    })
    client.on('close', () => this.#socketClosed())
    this.#server.on('close', () => this.#socketClosed())
    this.#pipes['to-client'].destinationConnected()
  }

  /** Connects to the server, unless the way there is stalled: then resume() does. */
  start(): void {
    if (this.#serverState !== 'new' || this.#server.destroyed || this.stalled('to-server')) return
    this.#serverState = 'connecting'
    this.#server.connect(this.#environment.target)
  }

  /** True when messages cannot be seen in this connection. */
  get opaque(): boolean {
    return this.#readers['to-server'].opaque || this.#readers['to-client'].opaque
  }

  /** Bytes received for a direction. */
  bytes(direction: Direction): number {
    return this.#pipes[direction].bytes
  }

  stalled(direction: Direction): boolean {
    return this.#pipes[direction].stalled
  }

  setShape(shape: Shape): void {
    this.#lines['to-server'].setShape(shape)
    this.#lines['to-client'].setShape(shape)
  }

  stall(direction: Direction): void {
    this.#pipes[direction].stall()
  }

  resume(direction: Direction): void {
    this.#pipes[direction].resume()
    if (direction === 'to-server') this.start()
  }

  /** Ends both sides now, without regard for what is under way. */
  cutNow(how: 'rst' | 'fin'): void {
    this.#cut = true
    this.#pipes['to-server'].drop()
    this.#pipes['to-client'].drop()
    for (const socket of [this.#client, this.#server]) {
      if (how === 'rst' || socket.connecting || socket.pending) reset(socket)
      else socket.end()
    }
  }

  /** For Pipe. */
  beforeMessage(direction: Direction, code: number, prefix: Buffer): RuleAction | undefined {
    this.#environment.countMessage(direction, code)
    const { rules } = this.#environment
    const watched = rules.watches(direction, code)
    let text: string | undefined
    if (direction === 'to-server') {
      text = this.#statements.see(code, prefix)
      if (code === ToServer.StartupMessage) this.#identify(prefix)
    } else if (code === ToClient.EncryptionAnswer) {
      this.#encryptionAnswer = prefix[0] ?? 0
    } else if (watched && code === ToClient.CommandComplete) {
      text = textAt(prefix, 0)
    }
    this.#text[direction] = text
    if (!watched) return undefined
    return this.#fire(direction, code, 'before', text === undefined ? noStatements : [text])
  }

  /** For Pipe. */
  afterMessage(direction: Direction, code: number): RuleAction | undefined {
    this.#debt.passed(direction, code)
    if (direction === 'to-server') {
      if (code === ToServer.SSLRequest || code === ToServer.GSSENCRequest) this.#readers['to-client'].expectAnswerByte()
    } else if (code === ToClient.EncryptionAnswer && encrypted.has(this.#encryptionAnswer)) {
      this.blinded()
    }
    if (this.#cut && this.#debt.settled) this.#server.end()
    let action: RuleAction | undefined
    if (this.#environment.rules.watches(direction, code)) {
      const text = this.#text[direction]
      const sync = direction === 'to-server' && code === ToServer.Sync
      const complete = sync ? this.#statements.sinceSync : text === undefined ? noStatements : [text]
      action = this.#fire(direction, code, 'after', complete)
    }
    if (direction === 'to-server' && code === ToServer.Sync) this.#statements.synced()
    return action
  }

  /** For Pipe. */
  blinded(): void {
    this.#readers['to-server'].becomeOpaque()
    this.#readers['to-client'].becomeOpaque()
    this.#environment.blinded(this)
  }

  /** For Pipe. */
  act(direction: Direction, action: 'cut' | 'fin' | 'stall'): void {
    if (action === 'stall') {
      this.stall('to-server')
      this.stall('to-client')
      return
    }
    this.#cut = true
    this.#pipes['to-server'].drop()
    this.#pipes['to-client'].discard()
    if (action === 'fin') this.#client.end()
    else if (direction === 'to-server') reset(this.#client)
    // What was forwarded to the client comes first; only then the reset that would throw it away.
    else this.#client.write(Buffer.alloc(0), () => reset(this.#client))
    if (this.opaque || this.#debt.settled) this.#server.end()
  }

  /** For Pipe. */
  resetDestination(direction: Direction): void {
    reset(direction === 'to-server' ? this.#server : this.#client)
  }

  #fire(direction: Direction, code: number, when: 'before' | 'after', statements: Iterable<string>) {
    if (this.#cut) return undefined
    const text = this.#text[direction]
    const fired = this.#environment.rules.fire({ direction, code, when, connection: this, text, statements })
    for (const { ruleId } of fired) this.#environment.fired(ruleId, this)
    return strongestAction(fired)
  }

  #identify(startup: Buffer): void {
    const parameters = startupParameters(startup)
    this.applicationName = parameters.get('application_name')
    this.user = parameters.get('user')
    // https://www.postgresql.org/docs/current/protocol-message-formats.html: defaults to the user name.
    this.database = parameters.get('database') ?? this.user
  }

  #clientFailed(error: Error): void {
    this.#environment.countSocketError(error)
    // The server still works off what it was sent; its answers must go on being followed.
    if (this.#cut) return
    this.#pipes['to-client'].drop()
    if (this.#serverState === 'connected') this.#pipes['to-server'].sourceEnded('rst')
    else this.#server.destroy()
  }

  #serverFailed(error: Error): void {
    this.#environment.countSocketError(error)
    this.#pipes['to-server'].drop()
    if (this.#serverState === 'connected') {
      this.#pipes['to-client'].sourceEnded('rst')
    } else {
      this.#environment.countRefusal()
      reset(this.#client)
    }
  }

  #socketClosed(): void {
    if (--this.#socketsOpen === 0) this.#environment.closed(this)
  }

  #newLine(shape: Shape, salt: number): DelayLine {
    // One generator for each connection and direction: what another connection does cannot change this one's jitter.
    const random = seededRandom(this.#environment.seed + this.id * 2 + salt)
    return new DelayLine(shape, { now: () => performance.now(), random })
  }

  #newPipe(direction: Direction): Pipe {
    const [source, destination] =
      direction === 'to-server' ? [this.#client, this.#server] : [this.#server, this.#client]
    const line = this.#lines[direction]
    const reader = this.#readers[direction]
    return new Pipe({ direction, source, destination, line, reader, timer: this.#environment.timer, owner: this })
  }
}

function reset(socket: Socket): void {
  if (socket.destroyed) return
  if (socket.connecting || socket.pending) socket.destroy()
  else socket.resetAndDestroy()
}
