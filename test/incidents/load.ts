import type { Pool } from '@pg-lifeguard/core'
import { Callers, listed, percentile } from '../outages/callers.js'
import type { Answer } from '../outages/subject.js'
import { lifeguard } from '../outages/subjects/lifeguard.js'

/** Callers of a pool, each of whom waits so long at most. */
export function callersOf(pool: Pool, text: string, timeoutMs: number): Callers {
  return loadOf(() => pool.query(text, [], { timeoutMs }), text)
}

/** Callers of whatever a program does with its pool. */
export function loadOf(work: () => Promise<unknown>, text = 'work'): Callers {
  return new Callers(
    lifeguard,
    {
      query: work,
      checkOut: () => Promise.reject(new Error('bug: nobody checks out here')),
      end: async () => undefined,
    },
    text,
  )
}

/** Opens the connections of a pool, so that callers who come next do not wait for logins. */
export async function warm(pool: Pool, connections: number): Promise<void> {
  const opened = await Promise.all(Array.from({ length: connections }, () => pool.acquire({ timeoutMs: 30_000 })))
  for (const one of opened) one.release()
}

/** When the first call after `at` succeeded, in milliseconds after it; Infinity when none did. */
export function firstSuccess({ answers }: Callers, at: number): number {
  return (
    Math.min(...answers.filter((one) => one.outcome === 'ok' && one.answeredAt > at).map((one) => one.answeredAt)) - at
  )
}

/** When the last call failed that was made after `at`, in milliseconds after it; 0 when none did. */
export function lastFailure({ answers }: Callers, at: number): number {
  const failed = answers.filter((one) => one.outcome !== 'ok' && one.calledAt > at)
  return Math.max(at, ...failed.map((one) => one.answeredAt)) - at
}

/** How often each outcome came of calls that this holds for. */
export function outcomes(answers: readonly Answer[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { outcome } of answers) counts[outcome] = (counts[outcome] ?? 0) + 1
  return counts
}

/** What callers saw, for the table. */
export function seenBy(callers: Callers): Readonly<Record<string, string | number>> {
  return {
    calls: callers.calls,
    'callers saw': listed(callers.outcomes()),
    'slowest call, ms': Math.round(
      percentile(
        callers.answers.map(({ tookMs }) => tookMs),
        1,
      ),
    ),
  }
}

/** Milliseconds for the table; `never` when it did not come. */
export function ms(value: number): string | number {
  return Number.isFinite(value) ? Math.round(value) : 'never'
}
