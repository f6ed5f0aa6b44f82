import type { Answer, Session, Subject } from './subject.js'

/** Calls that are made at a steady rate, whether or not the ones before them have been answered. */
export class Callers {
  readonly answers: Answer[] = []
  readonly #subject: Subject
  readonly #session: Session
  readonly #text: string
  #open = 0
  #calls = 0
  #whenAnswered: (() => void) | undefined

  constructor(subject: Subject, session: Session, text: string) {
    this.#subject = subject
    this.#session = session
    this.#text = text
  }

  /** Calls made so far. */
  get calls(): number {
    return this.#calls
  }
  /** Calls that wait for an answer. */
  get open(): number {
    return this.#open
  }

  /** Makes `perSecond` calls for `ms` milliseconds, evenly; a late timer makes up for what it missed. */
  async offer(perSecond: number, ms: number): Promise<void> {
    const start = performance.now()
    const first = this.#calls
    for (;;) {
      const elapsed = performance.now() - start
      const due = Math.floor((Math.min(elapsed, ms) / 1_000) * perSecond)
      while (this.#calls - first < due) void this.call()
      if (elapsed >= ms) return
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }

  /** One call. Never rejects: how it ended is written down. */
  async call(): Promise<Answer> {
    this.#calls += 1
    this.#open += 1
    const calledAt = performance.now()
    let outcome = 'ok'
    let mayHaveBeenSent = true
    try {
      await this.#session.query(this.#text)
    } catch (error) {
      outcome = this.#subject.nameOf(error)
      mayHaveBeenSent = !this.#subject.saysUnsent(error)
    }
    const answeredAt = performance.now()
    const answer: Answer = { outcome, tookMs: answeredAt - calledAt, calledAt, answeredAt, mayHaveBeenSent }
    this.answers.push(answer)
    this.#open -= 1
    if (this.#open === 0) this.#whenAnswered?.()
    return answer
  }

  /** Settles when every call has its answer. */
  async answered(): Promise<void> {
    if (this.#open > 0) {
      await new Promise<void>((resolve) => {
        this.#whenAnswered = resolve
      })
    }
  }

  /** How often each outcome came. */
  outcomes(): Record<string, number> {
    const counts: Record<string, number> = {}
    for (const { outcome } of this.answers) counts[outcome] = (counts[outcome] ?? 0) + 1
    return counts
  }
}

/** The value below which `share` of them are; NaN of none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN
}

/** `3 ok, 2 ECONNREFUSED`. */
export function listed(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts).sort(([, a], [, b]) => b - a)
  return parts.length === 0 ? 'none' : parts.map(([what, n]) => `${n} ${what}`).join(', ')
}

/** The longest time that this process did not look at its timers, while `work` ran: what a late answer may be blamed on. */
export async function withLag<T>(work: () => Promise<T>): Promise<{ readonly value: T; readonly lagMs: number }> {
  let lagMs = 0
  let last = performance.now()
  const timer = setInterval(() => {
    const now = performance.now()
    lagMs = Math.max(lagMs, now - last - 5)
    last = now
  }, 5)
  try {
    return { value: await work(), lagMs }
  } finally {
    clearInterval(timer)
  }
}

/** The most of these times, in milliseconds, that lie within one second. */
export function busiestSecond(times: readonly number[]): number {
  let most = 0
  let from = 0
  for (const [at, time] of times.entries()) {
    while (time - (times[from] ?? time) >= 1_000) from += 1
    most = Math.max(most, at - from + 1)
  }
  return most
}
