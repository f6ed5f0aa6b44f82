import { createPool } from '@pg-lifeguard/core'
import { type Claim, claim, type Demo } from '../demo.js'
import { measure, type WorkerFigures } from './measure.js'
import { works } from './works.js'

/** Batches and buffers under way; half of the rows of the short form would be more. */
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
  title: 'a million rows streamed and copied, in constant memory',
  about: [
    'Each in a process of its own, first with a tenth of the rows, then with all of',
    "them. 'Kept' is what is still in use when the garbage has been collected: that",
    'must not grow. Beside it a query that wants all rows at once.',
  ],
  orms: ['sql', 'kysely'],
  whyNotAll: 'Drizzle and Prisma have no streams, and no ORM has COPY: the pool beside them does.',
  code: 'demos/stream-and-copy/',
  async run({ url, orms, size, show }) {
    const count = size === 'full' ? 1_000_000 : 200_000
    await using inspector = createPool({ connectionString: url, max: 1 })
    const columns = '(id int not null, sensor text not null, value int not null)'
    await inspector.query(`create table measurement ${columns}; create table incoming ${columns}`)
    const fill = async (rows: number): Promise<void> => {
      show(`making ${rows.toLocaleString('en')} rows`)
      await inspector.query('truncate measurement, incoming')
      await inspector.query(
        `insert into measurement select n, repeat('sensor ', 20) || n, n % 1000 from generate_series(1, $1::int) n`,
        [rows],
      )
    }
    const chosen = works.filter(({ orm, isConstant }) => orms.includes(orm) || !isConstant)
    const runAll = async (rows: number): Promise<WorkerFigures[]> => {
      await fill(rows)
      const done: WorkerFigures[] = []
      for (const { name } of chosen) {
        show(`${name}, ${rows.toLocaleString('en')} rows`)
        done.push(await measure(name, url, rows))
      }
      return done
    }
    const few = await runAll(count / 10)
    const many = await runAll(count)
    const { rows: incoming } = await inspector.query<{ n: number }>('select count(distinct id)::int as n from incoming')
    const figures = chosen.map(({ name, isConstant }, index): MemoryFigures => {
      const [one, other] = [few[index], many[index]]
      if (one === undefined || other === undefined) throw new Error(`bug: ${name} was not measured`)
      return { name, isConstant, count, few: one, many: other }
    })
    const mb = (value: number): string => `${Math.round(value)} MB`
    return {
      tables: [
        {
          head: ['', 'rows', 'peak RSS', 'kept', 'kept of a tenth', 'time'],
          rows: figures.map(({ name, few, many }) => [
            name,
            many.rows,
            mb(many.peakMb),
            mb(many.keptMb),
            mb(few.keptMb),
            `${many.seconds.toFixed(1)} s`,
          ]),
        },
      ],
      claims: memoryClaims(figures, orms.includes('sql') ? (incoming[0]?.n ?? 0) : count),
    }
  },
}

/** @param copiedIn the different rows that are in the table that was copied into */
export function memoryClaims(figures: readonly MemoryFigures[], copiedIn: number): Claim[] {
  const constant = figures.filter(({ isConstant }) => isConstant)
  const growth = ({ few, many }: MemoryFigures): number => Math.round(many.keptMb - few.keptMb)
  const told = constant.map((each) => `${each.name} ${growth(each)} MB`).join(', ')
  const counted = figures.map(({ name, many }) => `${name} ${many.rows}`).join(', ')
  const naive = figures.filter(({ isConstant }) => !isConstant)
  return [
    claim(
      `ten times the rows take the same memory, within ${slackMb} MB`,
      constant.length > 0 && constant.every((each) => growth(each) < slackMb),
      told,
    ),
    claim(
      'all at once takes more with more rows',
      naive.length > 0 && naive.every((each) => growth(each) > slackMb),
      naive.map((each) => `${each.name} ${growth(each)} MB`).join(', '),
    ),
    claim(
      'no row is missed',
      figures.every(({ many, count }) => many.rows === count && copiedIn === count),
      `${counted}, in the table ${copiedIn}`,
    ),
  ]
}
