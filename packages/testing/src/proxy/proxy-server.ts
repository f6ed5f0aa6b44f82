import type { NetConnectOpts, Socket } from 'node:net'
import { matchesConnection } from './connection-filter.js'
import type { Shape } from './delay-line.js'
import { encryptedRuleError } from './fault-proxy-error.js'
import { Link, type LinkEnvironment } from './link.js'
import { Listener } from './listener.js'
import type { Direction } from './messages.js'
import type { PreciseTimer } from './precise-timer.js'
import type { Commands, ProxyMessage, StallScope, TargetAddress } from './protocol.js'
import { RuleBook, seesInside } from './rule-book.js'
import type { FaultProxyConnection } from './stats.js'
import { Traffic } from './traffic.js'

/** What carries out each command. */
export type CommandHandlers = {
  readonly [K in Exclude<keyof Commands, 'start'>]: (
    input: Commands[K]['input'],
  ) => Commands[K]['output'] | Promise<Commands[K]['output']>
}

const directions: readonly Direction[] = ['to-server', 'to-client']

/** The proxy as it runs in its own process: the port, the links and the rules. */
export class ProxyServer {
  readonly #links = new Map<number, Link>()
  readonly #rules = new RuleBook()
  readonly #traffic = new Traffic()
  readonly #listener: Listener
  readonly #environment: LinkEnvironment
  /** Holds for connections to come. */
  readonly #stalled: Record<Direction, boolean> = { 'to-server': false, 'to-client': false }
  #shape: Shape

  constructor(input: Commands['start']['input'], timer: PreciseTimer, report: (message: ProxyMessage) => void) {
    this.#shape = input.shape
    this.#listener = new Listener(input.port, (client) => this.#accepted(client))
    this.#environment = {
      target: connectOptions(input.target),
      timer,
      rules: this.#rules,
      seed: input.seed,
      countMessage: (direction, code) => this.#traffic.message(direction, code),
      countSocketError: (error) => this.#traffic.socketError(error),
      countRefusal: () => this.#traffic.refusal(),
      fired: (ruleId, link) => {
        const at = performance.timeOrigin + performance.now()
        report({ kind: 'fired', ruleId, firing: { connectionId: link.id, at } })
      },
      blinded: (link) => {
        for (const ruleId of this.#rules.blindOn(link)) report({ kind: 'blind', ruleId, connectionId: link.id })
      },
      closed: (link) => {
        this.#links.delete(link.id)
        this.#traffic.closed(link.bytes('to-server'), link.bytes('to-client'))
      },
    }
  }

  /** Resolves with the port. */
  open(): Promise<number> {
    return this.#listener.open()
  }

  readonly handlers: CommandHandlers = {
    set: (change) => {
      this.#shape = { ...this.#shape, ...change }
      for (const link of this.#links.values()) link.setShape(this.#shape)
    },
    cut: ({ how, connections }) => {
      const links = [...this.#links.values()].filter((link) => matchesConnection(connections, link))
      for (const link of links) link.cutNow(how)
      return links.length
    },
    stall: (scope) => this.#setStalled(scope, true),
    resume: (scope) => this.#setStalled(scope, false),
    refuse: async () => {
      await this.#listener.close()
    },
    accept: async () => {
      await this.#listener.open()
    },
    addRule: ({ ruleId, rule }) => {
      const opaque = [...this.#links.values()].find((link) => link.opaque && matchesConnection(rule.connections, link))
      if (opaque !== undefined && seesInside(rule)) throw encryptedRuleError(opaque.id)
      this.#rules.add(ruleId, rule)
    },
    removeRule: ({ ruleId }) => {
      this.#rules.remove(ruleId)
    },
    countRule: ({ ruleId }) => this.#rules.fired(ruleId),
    stats: () => {
      const open = { 'to-server': 0, 'to-client': 0 }
      for (const link of this.#links.values()) {
        for (const direction of directions) open[direction] += link.bytes(direction)
      }
      return this.#traffic.snapshot(open)
    },
    connections: () => [...this.#links.values()].map(describe),
  }

  #accepted(client: Socket): void {
    const id = this.#traffic.opened(performance.timeOrigin + performance.now())
    const link = new Link(id, client, this.#shape, this.#environment)
    this.#links.set(id, link)
    for (const direction of directions) if (this.#stalled[direction]) link.stall(direction)
    link.start()
  }

  #setStalled({ direction, connections }: StallScope, stalled: boolean): undefined {
    for (const each of direction === 'both' ? directions : [direction]) {
      if (connections === 'all') this.#stalled[each] = stalled
      for (const link of this.#links.values()) {
        if (!matchesConnection(connections, link)) continue
        if (stalled) link.stall(each)
        else link.resume(each)
      }
    }
  }
}

function connectOptions({ host, port }: TargetAddress): NetConnectOpts {
  return host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port }
}

function describe(link: Link): FaultProxyConnection {
  const { id, applicationName, user, database, openedAt, opaque } = link
  const stalled = { toServer: link.stalled('to-server'), toClient: link.stalled('to-client') }
  return { id, applicationName, user, database, openedAt, opaque, stalled }
}
