import { type Claim, claim, type Demo } from '../demo.js'
import { type LoadFigures, offer } from './load.js'
import { askBarePool, openBarePool } from './naive.js'
import { ask, openPool } from './sql.js'

const connections = 5
const queryMs = 50
const capacity = (connections * 1_000) / queryMs
const patienceMs = 500

/** Ten times more calls than the pool can serve. */
export const overload: Demo = {
  name: 'overload',
  title: 'ten times more calls than the pool can serve',
  about: [
    `${connections} connections and queries of ${queryMs} ms serve ${capacity} calls per second. Here ${(capacity * 10).toLocaleString('en')} per second`,
    `arrive, and callers give up after ${patienceMs} ms. A plain queue serves those that have`,
    'waited longest: its answers come too late.',
  ],
  gist: 'answers come in time',
  orms: ['sql'],
  whyNotAll: 'In raw SQL only: the pool decides which call is served, below every ORM.',
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
          head: ['', 'calls', 'in time/s', 'of capacity', 'p99', 'refused', 'after'],
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
      'calls that cannot be served are refused before their callers give up',
      ours.turnedAway > 0 && ours.refusalMs < patienceMs,
      `${ours.turnedAway} refused after ${ours.refusalMs} ms`,
    ),
  ]
}

function milliseconds(ms: number): string {
  return Number.isNaN(ms) ? '-' : `${ms.toLocaleString('en')} ms`
}
