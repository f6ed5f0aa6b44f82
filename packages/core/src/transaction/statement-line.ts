import type { QueryResult } from '../connection/result.js'
import type { AheadConfig, Prelude, StatementConfig } from '../connection/statement.js'
import { type Deadline, givenUp } from '../deadline/deadline.js'
import { type CallerContext, callerContext } from '../observe/context.js'
import { noop } from '../observe/noop.js'

/** A statement that waits for its turn. */
interface Asked {
  readonly kind: 'statement'
  readonly config: StatementConfig | AheadConfig
  readonly deadline: Deadline
  readonly resolve: (result: QueryResult) => void
  readonly reject: (error: unknown) => void
  /** Where it was asked for, while somebody traces. */
  readonly caller: CallerContext | undefined
  stopWatching: () => void
}

/** Something that goes ahead of the next statement, in the place in the line where it was put. */
interface Ahead {
  readonly kind: 'prelude'
  readonly prelude: Prelude
}

/** One statement on its way, with what goes ahead of it. `sent` is set once a byte of it was written. */
export interface Sending {
  readonly config: StatementConfig
  readonly preludes: readonly Prelude[]
  readonly deadline: Deadline
  sent: boolean
}

/**
 * The statements of one transaction, one at a time, in the order in which they were asked for. What goes ahead of a
 * statement (BEGIN, SAVEPOINT, RELEASE) keeps its place too: when that statement is given up unsent, it goes ahead of
 * the next one.
 */
export class StatementLine {
  readonly #send: (sending: Sending) => Promise<QueryResult>
  readonly #line: (Asked | Ahead)[] = []
  readonly #whenSettled: (() => void)[] = []
  #isBusy = false

  constructor(send: (sending: Sending) => Promise<QueryResult>) {
    this.#send = send
  }

  /** Puts `prelude` ahead of the next statement; returns the way to take it back, false once it is on its way. */
  putAhead(prelude: Prelude): () => boolean {
    const ahead: Ahead = { kind: 'prelude', prelude }
    this.#line.push(ahead)
    return () => this.#remove(ahead)
  }

  /** Stands in line at once; settles with the answer, or when its deadline is reached. */
  ask(config: StatementConfig | AheadConfig, deadline: Deadline): Promise<QueryResult> {
    return new Promise((resolve, reject) => {
      const reached = deadline.reached()
      if (reached !== undefined) {
        reject(givenUp(reached, 'not-sent'))
        return
      }
      const caller = callerContext()
      const asked: Asked = {
        kind: 'statement',
        config,
        deadline,
        resolve,
        reject,
        caller,
        stopWatching: noop,
      }
      this.#line.push(asked)
      this.#next()
      // Only what has to wait is watched here; what is on its way is watched by its connection.
      if (!this.#line.includes(asked)) return
      asked.stopWatching = deadline.watch((reason) => {
        if (this.#remove(asked)) reject(givenUp(reason, 'not-sent'))
      })
    })
  }

  /** Rejects all that waits. What is on its way is left to its connection. */
  abandon(error: Error): void {
    for (const entry of this.#line.splice(0)) {
      if (entry.kind !== 'statement') continue
      entry.stopWatching()
      entry.reject(error)
    }
  }

  /** Settles when nothing waits and nothing is on its way; at once when that is so. */
  settled(): Promise<void> {
    if (!this.#isBusy) return Promise.resolve()
    return new Promise((resolve) => this.#whenSettled.push(resolve))
  }

  #next(): void {
    if (this.#isBusy) return
    const at = this.#line.findIndex(({ kind }) => kind === 'statement')
    if (at === -1) {
      for (const resolve of this.#whenSettled.splice(0)) resolve()
      return
    }
    const taken = this.#line.splice(0, at + 1)
    const asked = taken.pop() as Asked
    const ahead = taken as Ahead[]
    asked.stopWatching()
    this.#isBusy = true
    const sending: Sending = {
      config: asked.config,
      preludes: [...ahead.map(({ prelude }) => prelude), ...('ahead' in asked.config ? asked.config.ahead : [])],
      deadline: asked.deadline,
      sent: false,
    }
    // Its turn comes in the context of whoever asked for the one before it.
    const { caller } = asked
    const sent = caller === undefined ? this.#send(sending) : caller(() => this.#send(sending))
    sent.then(
      (result) => {
        this.#isBusy = false
        asked.resolve(result)
        this.#next()
      },
      (error: unknown) => {
        this.#isBusy = false
        if (!sending.sent) this.#line.unshift(...ahead)
        asked.reject(error)
        this.#next()
      },
    )
  }

  #remove(entry: Asked | Ahead): boolean {
    const at = this.#line.indexOf(entry)
    if (at === -1) return false
    this.#line.splice(at, 1)
    return true
  }
}
