import { createPool } from '@pg-lifeguard/core'
import { type Claim, claim, type Demo } from '../demo.js'
import { measure, type WorkerFigures } from './measure.js'
import { works } from './works.js'

/** Batches and buffers under way; half of the rows of the short form, 350 bytes each, would be more. */
const slackMb = 15

/** One work, on a tenth of the rows and on all of them. */
export interface MemoryFigures {
  readonly name: string
  readonly isConstant: boolean
  readonly count: number
  readonly few: WorkerFigures
  readonly many: WorkerFigures
}

/** Many rows, in the memory of a few. */
export const streamAndCopy: Demo = {
  name: 'stream-and-copy',
  title: 'many rows streamed and copied, in constant memory',
  about: [
    'An export that loads all rows runs out of memory when the table has grown. Each way',
    'runs in a process of its own, on a tenth of the rows, then on all. The memory in use',
    'after garbage collection must not grow.',
  ],
  gist: 'memory stays the same',
  orms: ['sql', 'kysely'],
  whyNotAll: 'Drizzle and Prisma have no streams, and no ORM has COPY. The pool has both.',
  code: 'demos/stream-and-copy/',
  async run({ cluster, url, orms, size, show }) {
    const count = size === 'full' ? 1_000_000 : 100_000
    const fewUrl = (await cluster.createDatabase()).url
    show(`making ${count.toLocaleString('en')} rows`)
    await fill(fewUrl, count / 10)
    await fill(url, count)
    const chosen = works.filter(({ orm, isConstant }) => orms.includes(orm) || !isConstant)
    const figures: MemoryFigures[] = []
    for (const { name, isConstant } of chosen) {
      show(name)
      const [few, many] = await measure(name, [
        { url: fewUrl, count: count / 10 },
        { url, count },
      ])
      if (few === undefined || many === undefined) throw new Error(`bug: ${name} was not measured`)
      figures.push({ name, isConstant, count, few, many })
    }
    await using inspector = createPool({ connectionString: url, max: 1 })
    const { rows: incoming } = await inspector.query<{ n: number }>('select count(distinct id)::int as n from incoming')
    const mb = (value: number): string => `${Math.round(value)} MB`
    return {
      tables: [
        {
          head: ['', 'rows', 'kept, a tenth', 'kept, all', 'process peak', 'time'],
          rows: figures.map(({ name, few, many }) => [
            name,
            many.rows,
            mb(few.keptMb),
            mb(many.keptMb),
            mb(many.peakMb),
            `${many.seconds.toFixed(1)} s`,
          ]),
        },
      ],
      claims: memoryClaims(figures, orms.includes('sql') ? (incoming[0]?.n ?? 0) : count),
    }
  },
}

/** Tables to read from and to write to. */
async function fill(url: string, rows: number): Promise<void> {
  await using pool = createPool({ connectionString: url, max: 1 })
  const columns = '(id int not null, sensor text not null, value int not null)'
  await pool.query(`create table measurement ${columns}; create table incoming ${columns}`)
  await pool.query(
    `insert into measurement select n, repeat('sensor ', 40) || n, n % 1000 from generate_series(1, $1::int) n`,
    [rows],
  )
}

/** @param copiedIn the different rows that are in the table that was copied into */
export function memoryClaims(figures: readonly MemoryFigures[], copiedIn: number): Claim[] {
  const constant = figures.filter(({ isConstant }) => isConstant)
  const growth = ({ few, many }: MemoryFigures): number => Math.round(many.keptMb - few.keptMb)
  const grown = constant.map((each) => `${each.name} ${growth(each)} MB`).join(', ')
  const counted = figures.map(({ name, many }) => `${name} ${many.rows}`).join(', ')
  const naive = figures.filter(({ isConstant }) => !isConstant)
  return [
    claim(
      `ten times the rows take the same memory, within ${slackMb} MB`,
      constant.length > 0 && constant.every((each) => growth(each) < slackMb),
      grown,
    ),
    claim(
      'a query that loads all rows takes more memory for more rows',
      naive.length > 0 && naive.every((each) => growth(each) > slackMb),
      naive.map((each) => `${each.name} ${growth(each)} MB`).join(', '),
    ),
    claim(
      'no row is missing',
      figures.every(({ many, count }) => many.rows === count && copiedIn === count),
      `${counted}, in the table ${copiedIn}`,
    ),
  ]
}
