const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Ctrl-C and its relatives: `signal` aborts, so that everything unwinds and is tidied up; then `endProcess` ends the
 * process by the very signal, so that the shell sees why. A second Ctrl-C ends it at once.
 */
export class Interruption implements Disposable {
  readonly #controller = new AbortController()
  #received: NodeJS.Signals | undefined

  constructor() {
    for (const name of signals) process.on(name, this.#onSignal)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  endProcess(): void {
    if (this.#received !== undefined) process.kill(process.pid, this.#received)
  }

  [Symbol.dispose](): void {
    for (const name of signals) process.removeListener(name, this.#onSignal)
  }

  readonly #onSignal = (name: NodeJS.Signals): void => {
    this[Symbol.dispose]()
    this.#received = name
    this.#controller.abort()
  }
}
