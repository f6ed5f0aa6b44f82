import type { Row } from './harness.js'
import { orms } from './line-ups/orms.js'
import { pools } from './line-ups/pools.js'

/** What Lifeguard is to reach against a peer in a case, or against itself in another case. */
export interface Goal {
  readonly case: string
  readonly atLeast: number
  readonly than: { readonly peer: string } | { readonly case: string }
}

/** What is promised; a ratio is a median of one run, above 1 Lifeguard is better, or a case against another one. */
export const goals: readonly Goal[] = [
  { case: 'select-64-on-8-loopback', atLeast: 2.5, than: { peer: 'pg.Pool' } },
  { case: 'select-64-on-8-loopback', atLeast: 1.3, than: { peer: 'pg.Pool named' } },
  { case: 'select-64-on-8-loopback', atLeast: 1.5, than: { peer: 'postgres.js' } },
  { case: 'select-64-on-4-2ms', atLeast: 8, than: { peer: 'pg.Pool' } },
  { case: 'select-64-on-4-2ms', atLeast: 1, than: { peer: 'postgres.js' } },
  { case: 'cpu-64-on-8-loopback', atLeast: 1 / 1.15, than: { peer: 'pg pipelined' } },
  { case: 'select-64-on-4-of-20-2ms', atLeast: 1, than: { peer: 'pg.Pool' } },
  { case: 'select-1-on-8-loopback', atLeast: 1, than: { peer: 'pg.Pool named' } },
  { case: 'transaction-1-2ms', atLeast: 1.4, than: { peer: 'pg.Pool' } },
  { case: 'insert-batch-2ms', atLeast: 20, than: { case: 'insert-each-2ms' } },
  { case: 'insert-copy-loopback', atLeast: 15, than: { case: 'insert-each-loopback' } },
  ...rowGoals('ints', { 'pg.Pool': 2.8, 'postgres.js': 2.8, 'pgx v4': 1 }),
  ...rowGoals('times', { 'pg.Pool': 4, 'postgres.js': 2.5, 'pgx v4': 1 }),
  ...rowGoals('text', { 'pg.Pool': 2, 'postgres.js': 1.7, 'pgx v4': 1 }),
  ...rowGoals('mixed', { 'pg.Pool': 2, 'postgres.js': 1.7, 'pgx v4': 1 / 1.15 }),
  ...rowGoals('json', { 'pg.Pool': 1.7, 'pgx v4': 1 }),
  ...rowGoals('bytea', { 'pg.Pool': 3 }),
  ...rowGoals('bytea-memory', { 'pg.Pool': 2 }),
  { case: 'stream-1M-rows', atLeast: 1.5, than: { peer: 'pg.Pool' } },
  { case: 'stream-1M-rows', atLeast: 1.5, than: { peer: 'postgres.js' } },
  { case: 'stream-1M-rows', atLeast: 1.5, than: { peer: 'slonik' } },
  { case: 'stream-100k-rows-2ms', atLeast: 10, than: { peer: 'pg.Pool' } },
  { case: 'increments-50-serializable', atLeast: 1.2, than: { peer: 'pg.Pool' } },
  { case: 'acquire-each', atLeast: 1, than: { peer: 'pg.Pool' } },
  // Less than 1 ms added to the 5 ms that a turn takes where nothing is handed over.
  { case: 'acquire-turn-64-on-10', atLeast: 5 / 6, than: { peer: 'pg pipelined' } },
  ...Object.entries(orms).flatMap(([orm, lineUp]) => ormGoals('orm-select', orm, lineUp.yardstick)),
  ...ormGoals('orm-select-first', 'prisma', orms.prisma.yardstick),
]

/** Against each of these; those outside of Node are measured only with `--limits`. */
function rowGoals(kind: string, atLeast: Readonly<Record<string, number>>): Goal[] {
  return Object.entries(atLeast).map(([peer, times]) => ({ case: `rows-${kind}`, atLeast: times, than: { peer } }))
}

/** One caller loses nothing; where there are many, the pool pays. */
function ormGoals(name: string, orm: string, yardstick: string): Goal[] {
  const than = { peer: yardstick }
  return [
    { case: `${name}-1-on-8-loopback-${orm}`, atLeast: 1, than },
    { case: `${name}-64-on-8-loopback-${orm}`, atLeast: 1.3, than },
    { case: `${name}-64-on-4-2ms-${orm}`, atLeast: 5, than },
  ]
}

/** One line for each goal whose cases were measured. */
export function goalLines(rows: readonly Row[]): string {
  const lines = goals.flatMap((goal) => {
    const row = rows.find((one) => one.case === goal.case)
    const than = goal.than
    const other = 'case' in than ? rows.find((one) => one.case === than.case) : undefined
    if (row === undefined || ('case' in than && other === undefined)) return []
    const reached =
      'peer' in than
        ? row.ratios[than.peer]
        : (row.results[row.lineUp.subject] ?? Number.NaN) / (other?.results[row.lineUp.subject] ?? Number.NaN)
    if (reached === undefined) return []
    const what = 'peer' in than ? than.peer : than.case
    const verdict = reached >= goal.atLeast ? 'reached' : 'missed '
    return [`${verdict}  ${goal.case}: ${reached.toFixed(2)} x ${what}, the goal is ${goal.atLeast.toFixed(2)}`]
  })
  lines.push(...rows.flatMap(aheadOfUs))
  return lines.length === 0 ? '' : `${['', ...lines].join('\n')}\n`
}

/** Where there is no goal of its own, no peer is to be ahead by more than the noise of a run. */
const noise = 0.95
/** No pool works so. */
const noPool: readonly string[] = ['pg pipelined', 'psql copy', 'pgbench', 'pgx v4']

/** One line for each peer that is ahead in a case which has no goal against it. */
function aheadOfUs({ case: name, lineUp, ratios }: Row): string[] {
  if (lineUp.subject !== pools.subject) return []
  const isPromised = (peer: string): boolean =>
    goals.some((goal) => goal.case === name && 'peer' in goal.than && goal.than.peer === peer)
  return Object.entries(ratios)
    .filter(([peer, ratio]) => ratio < noise && !noPool.includes(peer) && !isPromised(peer))
    .map(([peer, ratio]) => `missed   ${name}: ${ratio.toFixed(2)} x ${peer}, no peer is to be ahead`)
}
