import type { Command } from '../connection/command.js'
import type { Prelude } from '../connection/operation.js'
import type { QueryResult } from '../connection/result.js'
import { type Deadline, givenUp } from '../deadline/deadline.js'
import { type CallerContext, callerContext } from '../observe/context.js'
import { noop } from '../observe/noop.js'

/** A command that waits for its turn. */
interface WaitingCommand {
  readonly kind: 'command'
  readonly command: Command
  readonly deadline: Deadline
  readonly resolve: (result: QueryResult) => void
  readonly reject: (error: unknown) => void
  /** Where it was asked for, while somebody traces. */
  readonly caller: CallerContext | undefined
  stopWatching: () => void
}

/** Something that goes ahead of the next command, in the place in the queue where it was put. */
interface WaitingPrelude {
  readonly kind: 'prelude'
  readonly prelude: Prelude
}

/** One command on its way, with what goes ahead of it. `sent` is set once a byte of it was written. */
export interface Sending {
  readonly command: Command
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
  readonly #line: (WaitingCommand | WaitingPrelude)[] = []
  readonly #whenSettled: (() => void)[] = []
  #isBusy = false

  constructor(send: (sending: Sending) => Promise<QueryResult>) {
    this.#send = send
  }

  /** Puts `prelude` ahead of the next statement; returns the way to take it back, false once it is on its way. */
  putAhead(prelude: Prelude): () => boolean {
    const ahead: WaitingPrelude = { kind: 'prelude', prelude }
    this.#line.push(ahead)
    return () => this.#remove(ahead)
  }

  /** Stands in line at once; settles with the answer, or when its deadline is reached. */
  ask(command: Command, deadline: Deadline): Promise<QueryResult> {
    return new Promise((resolve, reject) => {
      const reached = deadline.reached()
      if (reached !== undefined) {
        reject(givenUp(reached, 'not-sent'))
        return
      }
      const caller = callerContext()
      const asked: WaitingCommand = {
        kind: 'command',
        command,
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
      if (entry.kind !== 'command') continue
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
    const at = this.#line.findIndex(({ kind }) => kind === 'command')
    if (at === -1) {
      for (const resolve of this.#whenSettled.splice(0)) resolve()
      return
    }
    const taken = this.#line.splice(0, at + 1)
    const asked = taken.pop() as WaitingCommand
    const ahead = taken as WaitingPrelude[]
    asked.stopWatching()
    this.#isBusy = true
    const sending: Sending = {
      command: asked.command,
      preludes: ahead.map(({ prelude }) => prelude),
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

  #remove(entry: WaitingCommand | WaitingPrelude): boolean {
    const at = this.#line.indexOf(entry)
    if (at === -1) return false
    this.#line.splice(at, 1)
    return true
  }
}
