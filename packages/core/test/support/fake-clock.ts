import { setImmediate } from 'node:timers'
import type { Clock, Timer } from '../../src/deadline/clock.js'

interface Pending {
  readonly at: number
  readonly run: () => void
  readonly background: boolean
}

/** Time that stands still until a test moves it. */
export class FakeClock implements Clock {
  /** Timers that are set, in the order in which they were set. */
  readonly #pending = new Map<number, Pending>()
  #now = 1_000
  #nextId = 1

  now(): number {
    return this.#now
  }

  wallNow(): number {
    return 1_700_000_000_000 + this.#now
  }

  setTimer(ms: number, run: () => void, background = false): Timer {
    const id = this.#nextId++
    this.#pending.set(id, { at: this.#now + Math.max(0, ms), run, background })
    return { fake: id }
  }

  clearTimer(timer: Timer): void {
    if (!('fake' in timer)) throw new Error('bug: a real timer was handed to the fake clock')
    this.#pending.delete(timer.fake)
  }

  /** How many timers are set: what is done with leaves none behind. */
  get timers(): number {
    return this.#pending.size
  }

  /** How many of them would keep a process alive. */
  get foregroundTimers(): number {
    return [...this.#pending.values()].filter(({ background }) => !background).length
  }

  /** Moves time on, running what falls due in order of time, and lets promises settle after each. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    await settle()
    for (let next = this.#due(end); next !== undefined; next = this.#due(end)) {
      const [id, { at, run }] = next
      this.#pending.delete(id)
      this.#now = Math.max(this.#now, at)
      run()
      await settle()
    }
    this.#now = end
  }

  #due(end: number): readonly [number, Pending] | undefined {
    let first: readonly [number, Pending] | undefined
    for (const entry of this.#pending) {
      if (entry[1].at <= end && (first === undefined || entry[1].at < first[1].at)) first = entry
    }
    return first
  }
}

/** A clock whose every reading is a little later than the one before, as a real one's is. */
export class TickingClock extends FakeClock {
  #ticks = 0

  override now(): number {
    this.#ticks += 1
    return super.now() + this.#ticks * 1e-6
  }
}

/** Lets every promise that can settle now do so, however long the chain. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Fires up to a millisecond early, as timers of Node do beside a clock of more precision. */
export class EarlyClock extends FakeClock {
  override setTimer(ms: number, run: () => void, background = false): Timer {
    return super.setTimer(ms > 1 ? Math.trunc(ms) - 0.7 : ms, run, background)
  }
}
