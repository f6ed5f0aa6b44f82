import { codeCount, type Direction, messageName, ToServer } from './messages.js'
import type { FaultProxyStats } from './stats.js'

const connectTimesKept = 10_000

/** Counts what goes through the proxy; the hot ones are plain array increments. */
export class Traffic {
  readonly #messages: Readonly<Record<Direction, Float64Array>> = {
    'to-server': new Float64Array(codeCount),
    'to-client': new Float64Array(codeCount),
  }
  readonly #socketErrors: Record<string, number> = {}
  readonly #closedBytes: Record<Direction, number> = { 'to-server': 0, 'to-client': 0 }
  #connectTimes: number[] = []
  #opened = 0
  #closed = 0
  #refused = 0

  message(direction: Direction, code: number): void {
    const counts = this.#messages[direction]
    counts[code] = (counts[code] ?? 0) + 1
  }

  socketError(error: Error): void {
    const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name
    this.#socketErrors[code] = (this.#socketErrors[code] ?? 0) + 1
  }

  refusal(): void {
    this.#refused++
  }

  opened(at: number): number {
    this.#connectTimes.push(at)
    if (this.#connectTimes.length >= connectTimesKept * 2)
      this.#connectTimes = this.#connectTimes.slice(-connectTimesKept)
    return ++this.#opened
  }

  closed(bytesToServer: number, bytesToClient: number): void {
    this.#closed++
    this.#closedBytes['to-server'] += bytesToServer
    this.#closedBytes['to-client'] += bytesToClient
  }

  /** All of it, with the bytes of the connections that are still open. */
  snapshot(openBytes: Readonly<Record<Direction, number>>): FaultProxyStats {
    const { user, system } = process.cpuUsage()
    return {
      connections: { opened: this.#opened, open: this.#opened - this.#closed, closed: this.#closed },
      bytes: {
        toServer: this.#closedBytes['to-server'] + openBytes['to-server'],
        toClient: this.#closedBytes['to-client'] + openBytes['to-client'],
      },
      messages: { toServer: this.#named('to-server'), toClient: this.#named('to-client') },
      cancelRequests: this.#messages['to-server'][ToServer.CancelRequest] ?? 0,
      refusedByTarget: this.#refused,
      socketErrors: { ...this.#socketErrors },
      connectTimes: this.#connectTimes.slice(-connectTimesKept),
      process: {
        pid: process.pid,
        residentBytes: process.memoryUsage.rss(),
        cpuMs: (user + system) / 1000,
      },
    }
  }

  #named(direction: Direction): Record<string, number> {
    const named: Record<string, number> = {}
    for (const [code, count] of this.#messages[direction].entries()) {
      if (count > 0) named[messageName(direction, code)] = count
    }
    return named
  }
}
