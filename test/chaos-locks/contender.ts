import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Order, Report } from './protocol.js'

/** A time during which a process believed that it held a lock. */
export interface Belief {
  readonly key: string
  readonly xid: bigint
  readonly from: number
  until: number
  /** Whether the process was stopped at some time in it: then it could not be notified. */
  wasStopped: boolean
}

/** What all the processes of one trial have said. */
export class Story {
  readonly beliefs: Belief[] = []
  readonly failures = new Map<string, number>()
  readonly bugs: string[] = []
  refused = 0
}

const suffix = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
const workerPath = fileURLToPath(new URL(`./worker.${suffix}`, import.meta.url))

/** The monotonic clock of the machine, in milliseconds: the same in all processes. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/** One process of the chaos, seen from outside. */
export class Contender {
  readonly order: Order
  readonly #child: ChildProcess
  readonly #open = new Map<string, Belief>()
  readonly #exited: Promise<unknown>
  /** When it was stopped last. */
  #stoppedAt = 0

  constructor(order: Order, story: Story, onGrant: (belief: Belief, by: Contender) => void = () => undefined) {
    this.order = order
    this.#child = fork(workerPath, [JSON.stringify(order)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    this.#exited = once(this.#child, 'exit')
    this.#child.on('message', (report: Report) => {
      if (report.kind === 'granted') {
        const { hold, key, xid, at } = report
        // Said before it was stopped, and perhaps read after it was let go again.
        const wasStopped = this.#stoppedAt > at
        const belief = { key, xid: BigInt(xid), from: at, until: Infinity, wasStopped }
        this.#open.set(hold, belief)
        story.beliefs.push(belief)
        onGrant(belief, this)
      } else if (report.kind === 'over') {
        const belief = this.#open.get(report.hold)
        if (belief !== undefined) belief.until = report.at
        this.#open.delete(report.hold)
      } else if (report.kind === 'failed') story.failures.set(report.code, (story.failures.get(report.code) ?? 0) + 1)
      else if (report.kind === 'refused') story.refused += 1
      else story.bugs.push(`process ${order.who}: ${report.what}`)
    })
  }

  /** Whether it believes to hold anything now. */
  get holds(): boolean {
    return this.#open.size > 0
  }

  /** SIGKILL. What it believed ends here. */
  async kill(): Promise<void> {
    const at = now()
    this.#child.kill('SIGKILL')
    await this.#exited
    // Every message that it had sent has been read by the time the channel is closed.
    if (this.#child.connected) await once(this.#child, 'disconnect')
    for (const belief of this.#open.values()) belief.until = Math.max(at, belief.from)
  }

  stop(): void {
    this.#stoppedAt = now()
    for (const belief of this.#open.values()) belief.wasStopped = true
    this.#child.kill('SIGSTOP')
  }

  resume(): void {
    this.#child.kill('SIGCONT')
  }

  /** Asks it to finish, and waits until it has. */
  async end(): Promise<void> {
    if (this.#child.connected) this.#child.send('end')
    await this.#exited
  }
}
