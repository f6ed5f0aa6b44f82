import type { Spread } from './overlaps.js'
import type { StormResult } from './storm.js'
import type { ElectionResult, SemaphoreResult } from './trials.js'

export interface ChaosResult {
  readonly seed: number
  readonly seconds: number
  readonly heartbeatMs: number
  readonly boundMs: number
  readonly storm: StormResult
  readonly aborts: Spread
  readonly semaphore: SemaphoreResult
  readonly election: ElectionResult
}

/** What was promised and not kept; empty when all is well. */
export function violations({ storm, semaphore, election, boundMs }: ChaosResult): string[] {
  const found: string[] = []
  const check = (isKept: boolean, what: string): void => {
    if (!isKept) found.push(what)
  }
  check((storm.stale['session'] ?? 0) === 0, 'a write of lock.withTransaction came after the next holder had written')
  check((storm.stale['token'] ?? 0) === 0, 'a write with a token came after the next holder had written')
  check(storm.miscounted === 0, 'a counter differs from its log')
  check(storm.overlap.maxMs <= boundMs, `two holders for ${storm.overlap.maxMs.toFixed(0)} ms, above ${boundMs} ms`)
  check(storm.grants > 0, 'no lock was granted')
  check(semaphore.mostAtOnce <= 3, `${semaphore.mostAtOnce} holders of a semaphore of 3`)
  check(semaphore.placesLeft === 3, `${3 - semaphore.placesLeft} places of the semaphore were lost`)
  check(election.mostAtOnce === 1, `${election.mostAtOnce} leaders at once`)
  for (const [name, { locksLeft, bugs }] of Object.entries({ storm, semaphore, election })) {
    check(locksLeft === 0, `${locksLeft} locks left after the ${name}`)
    for (const bug of bugs) found.push(bug)
  }
  return found
}

/** For people. */
export function table(result: ChaosResult): string {
  const { storm, aborts, semaphore, election } = result
  const ms = ({ count, medianMs, maxMs }: Spread): string =>
    count === 0 ? 'none' : `${count} times, median ${medianMs.toFixed(1)} ms, most ${maxMs.toFixed(1)} ms`
  const each = (counts: Readonly<Record<string, number>>): string =>
    Object.entries(counts)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ') || 'none'
  const rows: readonly (readonly [string, string])[] = [
    ['seed, seconds, heartbeat', `${result.seed}, ${result.seconds} s, ${result.heartbeatMs} ms`],
    ['faults', each(storm.faults)],
    ['locks granted', String(storm.grants)],
    ['writes', each(storm.writes)],
    ['of them after the next holder’s', each(storm.stale)],
    ['writes refused by their token', String(storm.refused)],
    ['two believed to hold one lock', `${ms(storm.overlap)} (bound ${result.boundMs} ms)`],
    ['  while one was stopped', `${ms(storm.overlapWhenStopped)} (no bound)`],
    ['calls that failed', each(storm.failures)],
    ['killed backend to aborted signal', ms(aborts)],
    [
      'semaphore of 3',
      `${semaphore.grants} grants, ${semaphore.kills} kills, ${semaphore.mostAtOnce} at once at most, ${semaphore.placesLeft} places left`,
    ],
    [
      'election',
      `${election.terms} terms, ${election.mostAtOnce} leader at once; next one after a kill: ${ms(election.handover)}`,
    ],
    ['locks left in pg_locks', String(storm.locksLeft + semaphore.locksLeft + election.locksLeft)],
  ]
  const width = Math.max(...rows.map(([name]) => name.length))
  const broken = violations(result)
  const verdict = broken.length === 0 ? 'Everything that was promised was kept.' : `BROKEN\n${broken.join('\n')}`
  return `${rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n')}\n\n${verdict}\n`
}
