import { randomBytes } from 'node:crypto'
import type { Clock, Timer } from '../../base/clock.js'
import { limitOf } from '../../base/limit.js'
import { Statement } from '../../wire/statement.js'
import type { Ask } from './ask.js'
import type { LockBoard } from './lock-board.js'
import { circleOf, type LockWait, LockWaits } from './lock-waits.js'
import { noteOf, remoteWaits, waitsSql } from './remote-waits.js'

/** How often a wait under other locks is looked at; as the server's own `deadlock_timeout`. */
const everyMs = 1_000
/** How long a look may take. */
const lookMs = 5_000

/** A wait on the server that is being watched. */
export interface Watched {
  /** To be put in front of the statement that waits. */
  readonly note: string
  stop(): void
}

/**
 * Finds deadlocks that go over several sessions of one line of work, which the server cannot see. Every process looks at
 * the same waits, and comes to the same answer who of a circle gives way.
 */
export class DeadlockWatch {
  readonly #inside = new LockWaits()
  readonly #onServer = new LockWaits()
  readonly #ask: Ask
  readonly #board: LockBoard
  readonly #clock: Clock

  constructor(ask: Ask, board: LockBoard, clock: Clock) {
    this.#ask = ask
    this.#board = board
    this.#clock = clock
  }

  /**
   * Watches a wait on the server for `keys`, by code that holds `holds` on other sessions; calls back when it is part of
   * a circle, and the one that gives way.
   */
  onServer(keys: readonly string[], holds: ReadonlySet<string>, onDeadlock: () => void): Watched {
    if (holds.size === 0 && keys.length === 1) return { note: '', stop: nothing }
    const id = newId()
    // The other keys of the call are waited for by the rest of this process until all of it is granted.
    const waits = keys.map((waitsFor): LockWait => {
      return { id, waitsFor, holds: new Set([...holds, ...keys.filter((one) => one !== waitsFor)]) }
    })
    for (const wait of waits) this.#onServer.add(wait)
    const stop = this.#watch(id, onDeadlock, nothing)
    return {
      note: noteOf(id, new Set([...holds, ...keys])),
      stop: () => {
        stop()
        for (const wait of waits) this.#onServer.delete(wait)
      },
    }
  }

  /**
   * The same for a wait inside this process; undefined when it closes a circle here and now. Other processes are shown
   * it once it has lasted.
   */
  inside(waitsFor: string, holds: ReadonlySet<string>, onDeadlock: () => void): (() => void) | undefined {
    if (holds.size === 0) return nothing
    const wait: LockWait = { id: newId(), waitsFor, holds }
    this.#inside.add(wait)
    if (circleOf(wait, [...this.#inside.all, ...this.#onServer.all]) !== undefined) {
      this.#inside.delete(wait)
      return undefined
    }
    const stop = this.#watch(wait.id, onDeadlock, () => this.#board.add(wait))
    return () => {
      stop()
      this.#inside.delete(wait)
      this.#board.delete(wait)
    }
  }

  #watch(id: string, onDeadlock: () => void, beforeLook: () => void): () => void {
    let stopped = false
    const lookLater = (): Timer =>
      this.#clock.setTimer(everyMs, () => {
        beforeLook()
        this.#mustGiveWay(id)
          .then(
            (must) => {
              if (must && !stopped) onDeadlock()
            },
            // A look that fails is made again: the wait itself goes on, bounded as before.
            nothing,
          )
          .finally(() => {
            if (!stopped) timer = lookLater()
          })
      })
    let timer = lookLater()
    return () => {
      stopped = true
      this.#clock.clearTimer(timer)
    }
  }

  /** Of the waits in a circle the one with the greatest id gives way; each of them finds that out by itself. */
  async #mustGiveWay(id: string): Promise<boolean> {
    const rows = await this.#ask(new Statement({ text: waitsSql }), limitOf({ timeoutMs: lookMs }, this.#clock))
    const elsewhere = remoteWaits(rows)
    const inside = this.#inside.all
    // The server knows for which of its keys a call waits, and whether it still does; the process, what else it holds up.
    const isWaiting = (wait: LockWait): boolean =>
      elsewhere.some((one) => one.id === wait.id && one.waitsFor === wait.waitsFor)
    const onServer = this.#onServer.all.filter(isWaiting)
    const own = new Set([...inside, ...this.#onServer.all].map((wait) => wait.id))
    const all = [...inside, ...onServer, ...elsewhere.filter((wait) => !own.has(wait.id))]
    const mine = all.find((wait) => wait.id === id)
    const circle = mine === undefined ? undefined : circleOf(mine, all)
    return circle?.every((wait) => wait.id <= id) ?? false
  }
}

function newId(): string {
  return randomBytes(8).toString('hex')
}

const nothing = (): void => undefined
