import type { LockMode } from './held-lock.js'
import type { ServerKey } from './lock-key.js'

/** Why a session with locks is gone. */
export interface Loss {
  readonly why: string
  readonly cause: unknown
}

/** Locks that a session holds for somebody. */
export class Hold {
  readonly keys: readonly ServerKey[]
  readonly mode: LockMode
  readonly #release: (hold: Hold) => void
  #loss: Loss | undefined
  #listener: ((loss: Loss) => void) | undefined

  constructor(keys: readonly ServerKey[], mode: LockMode, release: (hold: Hold) => void) {
    this.keys = keys
    this.mode = mode
    this.#release = release
  }

  /** Calls back when the session is lost; at once when it has been. */
  onLost(listener: (loss: Loss) => void): void {
    this.#listener = listener
    if (this.#loss !== undefined) listener(this.#loss)
  }

  /** The locks have been given back. */
  release(): void {
    this.#listener = undefined
    this.#release(this)
  }

  /** Called by the session. */
  lose(loss: Loss): void {
    this.#loss = loss
    this.#listener?.(loss)
  }
}
