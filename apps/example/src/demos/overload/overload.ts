import { type Claim, claim, type Demo } from '../demo.js'
import { type LoadFigures, offer } from './load.js'
import { askBarePool, openBarePool } from './naive.js'
import { ask, openPool } from './sql.js'

const connections = 5
const queryMs = 50
const capacity = (connections * 1_000) / queryMs
const patienceMs = 500

/** Ten times as much is asked as the pool can do. */
export const overload: Demo = {
  name: 'overload',
  title: 'ten times as much is asked as the pool can do',
  about: [
    `${connections} connections and queries of ${queryMs} ms make ${capacity} answers a second; ${(capacity * 10).toLocaleString('en')} are asked`,
    `for, and callers leave after ${patienceMs} ms. A plain queue serves those who have waited`,
    'longest and are about to leave: always busy, of use to nobody.',
  ],
  gist: 'answers come in time',
  orms: ['sql'],
  whyNotAll: 'In raw SQL only: who is served is decided by the pool, below every ORM.',
  code: 'demos/overload/sql.ts',
  async run({ url, size, show }) {
    const load = { perSecond: capacity * 10, loadMs: size === 'full' ? 4_000 : 2_000, patienceMs }

    show('a bare pg.Pool')
    const bare = openBarePool(url, connections, patienceMs)
    await Promise.all(Array.from({ length: connections }, () => askBarePool(bare, queryMs)))
    const bareFigures = await offer(() => askBarePool(bare, queryMs), load)
    await bare.end()

    show('Lifeguard')
    await using pool = openPool(url, connections)
    await Promise.all(Array.from({ length: connections }, () => ask(pool, queryMs, patienceMs)))
    const figures = await offer(() => ask(pool, queryMs, patienceMs), load)

    const row = (name: string, each: LoadFigures) => [
      name,
      each.calls,
      each.usefulPerSecond,
      `${Math.round((each.usefulPerSecond / capacity) * 100)} %`,
      milliseconds(each.p99Ms),
      each.turnedAway,
      milliseconds(each.refusalMs),
    ]
    return {
      tables: [
        {
          head: ['', 'calls', 'in time/s', 'of capacity', 'p99', 'turned away', 'after'],
          rows: [row('bare pg.Pool', bareFigures), row('Lifeguard', figures)],
        },
      ],
      claims: overloadClaims(figures, bareFigures),
    }
  },
}

/** Nothing is claimed of speed itself: that is for the bench, on a machine that has nothing else to do. */
export function overloadClaims(ours: LoadFigures, bare: LoadFigures): Claim[] {
  return [
    claim(
      'more answers in time than a bare pg.Pool',
      ours.usefulPerSecond > bare.usefulPerSecond,
      `${ours.usefulPerSecond} and ${bare.usefulPerSecond} of the bare pool`,
    ),
    claim(
      'whoever cannot be served hears of it before the patience is over',
      ours.turnedAway > 0 && ours.refusalMs < patienceMs,
      `${ours.turnedAway} turned away after ${ours.refusalMs} ms`,
    ),
  ]
}

function milliseconds(ms: number): string {
  return Number.isNaN(ms) ? '-' : `${ms.toLocaleString('en')} ms`
}
