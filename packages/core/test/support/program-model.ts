import type { Failure, Program, Step } from './program.js'

/** Everything that can be seen of a run of a program. */
export interface Seen {
  /** How each step of each attempt ended, by `attempt:place`; that of the whole is at `whole`. */
  readonly outcomes: Record<string, string>
  /** The rows that are there in the end, as `attempt:place`, sorted; those written outside of the transaction too. */
  readonly rows: string[]
  /** The hooks that ran, sorted: `commit attempt:place` or `rollback attempt:place`. */
  readonly hooks: string[]
}

/** What a callback or a level was rejected with. */
interface Rejection {
  readonly label: string
  /** Whether it says, itself or by its cause, that the server undid the transaction for the sake of others. */
  readonly isConflict: boolean
  /** Whether it says nothing about the reason, so that the first failure of the transaction decides. */
  readonly isMute: boolean
}

/** What statements answer with, by why they fail. */
const rejections: Readonly<Record<Failure | 'after a failure' | 'thrown', Rejection>> = {
  division: { label: '22012', isConflict: false, isMute: true },
  conflict: { label: '40001', isConflict: true, isMute: false },
  timeout: { label: 'LIFEGUARD_TIMEOUT', isConflict: false, isMute: false },
  'after a failure': { label: '25P02', isConflict: false, isMute: true },
  thrown: { label: 'thrown', isConflict: false, isMute: true },
}

class Rejected extends Error {
  readonly rejection: Rejection

  constructor(rejection: Rejection) {
    super(rejection.label)
    this.rejection = rejection
  }
}

/** A level: what it wrote and registered, to be handed up or dropped. */
interface Level {
  readonly rows: string[]
  readonly hooks: string[]
  /** Hooks of levels inside that were undone. */
  readonly undone: string[]
  /** A savepoint in it that was begun by hand and left open: what comes now belongs to it. */
  left: Level | undefined
}

const emptyLevel = (): Level => ({ rows: [], hooks: [], undone: [], left: undefined })

/** What must be seen of a program: transactions in a few lines, without a server, a connection or a queue. */
export function predict(program: Program): Seen {
  const outcomes: Record<string, string> = {}
  const outside: string[] = []
  for (let attempt = 1; ; attempt++) {
    const model = new Attempt(attempt, outcomes, outside)
    const { error, level } = model.run(program)
    if (error !== undefined && (error.isConflict || (error.isMute && model.firstFailure === 'conflict'))) continue
    outcomes['whole'] = error?.label ?? 'returned'
    const hooks = level.hooks.map((place) => `${error === undefined ? 'commit' : 'rollback'} ${place}`)
    hooks.push(...level.undone.map((place) => `rollback ${place}`))
    const rows = [...outside, ...(error === undefined ? level.rows : [])]
    return { outcomes, rows: rows.sort(), hooks: hooks.sort() }
  }
}

class Attempt {
  readonly #attempt: number
  readonly #outcomes: Record<string, string>
  readonly #outside: string[]
  /** Whether the server refuses every statement. */
  #failed = false
  firstFailure: Failure | 'after a failure' | undefined

  constructor(attempt: number, outcomes: Record<string, string>, outside: string[]) {
    this.#attempt = attempt
    this.#outcomes = outcomes
    this.#outside = outside
  }

  run(program: Program): { error: Rejection | undefined; level: Level } {
    const level = emptyLevel()
    try {
      this.#body(program, level, '')
      this.#settle(level)
      return { error: undefined, level }
    } catch (error) {
      if (!(error instanceof Rejected)) throw error
      this.#closeLeft(level)
      return { error: error.rejection, level }
    }
  }

  #body(program: Program, level: Level, place: string): void {
    for (const [index, step] of program.entries()) {
      let at = level
      while (at.left !== undefined) at = at.left
      this.#step(step, at, `${place}.${index}`)
    }
  }

  /** Runs a step, and notes how it ended. */
  #step(step: Step, level: Level, place: string): void {
    const key = `${this.#attempt}:${place}`
    try {
      this.#outcomes[key] = 'pending'
      this.#do(step, level, place, key)
      this.#outcomes[key] = 'ok'
    } catch (error) {
      if (!(error instanceof Rejected)) throw error
      this.#outcomes[key] = error.rejection.label
      const isSwallowed = (step.do === 'fail' && step.swallowed) || (step.do === 'nested' && step.caught)
      if (!isSwallowed) throw error
    }
  }

  #do(step: Step, level: Level, place: string, key: string): void {
    switch (step.do) {
      case 'insert':
        this.#statement(undefined)
        level.rows.push(key)
        return
      case 'fail':
        this.#statement(step.why === 'conflict' && this.#attempt > 1 ? undefined : step.why)
        return
      case 'throw':
        throw new Rejected(rejections.thrown)
      case 'hook':
        level.hooks.push(key)
        return
      case 'outside':
        this.#outside.push(key)
        return
      case 'nested':
        this.#inside(level, (inner) => {
          this.#body(step.body, inner, place)
          return 'commit'
        })
        return
      case 'together':
        for (const [index, part] of step.parts.entries()) {
          try {
            let at = level
            while (at.left !== undefined) at = at.left
            this.#step(part, at, `${place}.${index}`)
          } catch (error) {
            if (!(error instanceof Rejected)) throw error
          }
        }
        return
      case 'manual':
        this.#inside(level, (inner) => {
          this.#body(step.body, inner, place)
          return step.end
        })
    }
  }

  #statement(fails: Failure | undefined): void {
    const why = this.#failed ? 'after a failure' : fails
    if (why === undefined) return
    this.#failed = true
    this.firstFailure ??= why
    throw new Rejected(rejections[why])
  }

  /** A savepoint around `work`. */
  #inside(level: Level, work: (inner: Level) => 'commit' | 'rollback' | 'left'): void {
    const inner = emptyLevel()
    const failedBefore = this.#failed
    const failureBefore = this.firstFailure
    const undo = (): void => {
      this.#closeLeft(inner)
      level.undone.push(...inner.hooks, ...inner.undone)
      // A savepoint in a transaction that had failed before was never set, and cannot be gone back to.
      if (failedBefore) return
      this.#failed = false
      this.firstFailure = failureBefore
    }
    try {
      const end = work(inner)
      if (end === 'left') {
        level.left = inner
        return
      }
      if (end === 'rollback') {
        undo()
        return
      }
      this.#settle(inner)
    } catch (error) {
      undo()
      throw error
    }
    level.rows.push(...inner.rows)
    level.hooks.push(...inner.hooks)
    level.undone.push(...inner.undone)
  }

  /** @throws when the level cannot be released or committed */
  #settle(level: Level): void {
    const label = 'LIFEGUARD_TRANSACTION_ROLLED_BACK'
    if (level.left !== undefined) throw new Rejected({ label, isConflict: false, isMute: true })
    if (!this.#failed) return
    const isConflict = this.firstFailure === 'conflict'
    throw new Rejected({ label, isConflict, isMute: !isConflict && this.firstFailure !== 'timeout' })
  }

  /** What was left open is undone with the level around it. */
  #closeLeft(level: Level): void {
    const { left } = level
    if (left === undefined) return
    this.#closeLeft(left)
    level.undone.push(...left.hooks, ...left.undone)
    level.left = undefined
  }
}
