import type { Deadline } from '../deadline/deadline.js'
import type { LockMode } from '../transaction/held-lock.js'

interface Entry {
  readonly mode: LockMode
  readonly grant: () => void
}

interface Line {
  /** Who is in: any number that share, or one alone. */
  mode: LockMode
  inside: number
  readonly waiting: Entry[]
}

/**
 * A line for each key inside this process, first come, first served. Only who is in goes to the server, with a
 * connection: without it, a hundred callers for one lock would take every connection of the pool to wait with, and leave
 * none to work with. It also keeps apart what a session would not: a session gets every lock that it holds already.
 */
export class LockQueue {
  readonly #lines = new Map<string, Line>()

  /** Enters at once when nobody is in the way; undefined when one has to wait. The result lets the next ones in. */
  tryEnter(key: string, mode: LockMode): (() => void) | undefined {
    const line = this.#lines.get(key)
    if (line === undefined) {
      this.#lines.set(key, { mode, inside: 1, waiting: [] })
      return this.#leaveOnce(key)
    }
    if (line.waiting.length > 0 || mode === 'exclusive' || line.mode === 'exclusive') return undefined
    line.inside += 1
    return this.#leaveOnce(key)
  }

  /** Waits for one's turn. */
  async enter(key: string, mode: LockMode, deadline: Deadline): Promise<() => void> {
    const leave = this.tryEnter(key, mode)
    if (leave !== undefined) return leave
    const line = this.#lines.get(key)
    if (line === undefined) throw new Error('bug: nobody is in the way, and yet one has to wait')
    const turn = Promise.withResolvers<void>()
    const entry: Entry = { mode, grant: turn.resolve }
    line.waiting.push(entry)
    try {
      await deadline.within(turn.promise)
      return this.#leaveOnce(key)
    } catch (error) {
      const at = line.waiting.indexOf(entry)
      // Granted at the very moment of giving up: the place in the queue is released again.
      if (at === -1) this.#leave(key)
      else line.waiting.splice(at, 1)
      this.#admit(key, line)
      throw error
    }
  }

  #leaveOnce(key: string): () => void {
    let left = false
    return () => {
      if (left) return
      left = true
      this.#leave(key)
    }
  }

  #leave(key: string): void {
    const line = this.#lines.get(key)
    if (line === undefined) throw new Error('bug: somebody left a line that does not exist')
    line.inside -= 1
    this.#admit(key, line)
  }

  #admit(key: string, line: Line): void {
    for (let first = line.waiting[0]; first !== undefined; first = line.waiting[0]) {
      const isCompatible = line.inside === 0 || (line.mode === 'shared' && first.mode === 'shared')
      if (!isCompatible) return
      line.waiting.shift()
      line.mode = first.mode
      line.inside += 1
      first.grant()
    }
    if (line.inside === 0) this.#lines.delete(key)
  }
}
