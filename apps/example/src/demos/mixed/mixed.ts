import { createPool, type Pool } from '@pg-lifeguard/core'
import { openClients } from '../../clients.js'
import { type Claim, claim, type Demo } from '../demo.js'
import { order } from './order.js'

const tables = ['purchase', 'stock_movement', 'invoice', 'audit'] as const
const setUp = `
  create table purchase (id int generated always as identity primary key, customer text not null);
  create table stock_movement (id int generated always as identity primary key, item text not null, amount int not null);
  create table invoice (id int generated always as identity primary key, customer text not null, cents int not null);
  create table audit (id int generated always as identity primary key, what text not null)`

/** What came of some orders that were disturbed in one way. */
export interface Outcome {
  readonly situation: string
  readonly orders: number
  /** How many of them have to be there in the end. */
  readonly expected: number
  /** Orders that were reported to their caller as done. */
  readonly reportedDone: number
  /** Rows that are there: of Kysely, Drizzle, Prisma, raw SQL. */
  readonly rows: readonly number[]
}

/** One order goes through everything that is on the pool, or leaves nothing. */
export const mixed: Demo = {
  name: 'mixed',
  title: 'one transaction over Kysely, Drizzle, Prisma and raw SQL',
  about: [
    'An order writes a row through each of them. With one pool per ORM these are four',
    'transactions, and a crash can leave half an order. Here the callback throws in',
    'the middle, or its connection is killed: once, or in every attempt.',
  ],
  gist: 'all ORMs in one transaction',
  orms: ['sql', 'kysely', 'drizzle', 'prisma'],
  whyNotAll: 'All of them take part in one transaction: --orm changes nothing here.',
  code: 'demos/mixed/order.ts',
  async run({ url, size, show }) {
    const orders = size === 'full' ? 20 : 4
    // All come at once, and may wait as long as it takes, also on a machine that is busy.
    const patient = { acquireTimeoutMs: 60_000, overload: false } as const
    await using clients = openClients({ connectionString: url, max: 4, ...patient })
    await using inspector = createPool({ connectionString: url, max: 1 })
    await inspector.query(setUp)

    const kill = async (): Promise<void> => {
      // Inside of the transaction, so it is the backend of that.
      const { rows } = await clients.pool.query<{ pid: number }>('select pg_backend_pid() as pid')
      await inspector.query('select pg_terminate_backend($1, 5000)', [rows[0]?.pid])
    }
    const outcomes: Outcome[] = []
    const put = async (
      situation: string,
      count: number,
      expected: number,
      disturb: (attempt: number) => Promise<void>,
    ): Promise<void> => {
      show(situation)
      await inspector.query(`truncate ${tables.join(', ')}`)
      let reportedDone = 0
      const one = async (index: number): Promise<void> => {
        let attempt = 0
        const done = await order(clients, `customer ${index}`, 'lamp', () => disturb(++attempt)).then(
          () => true,
          () => false,
        )
        if (done) reportedDone += 1
      }
      await Promise.all(Array.from({ length: count }, (_, index) => one(index)))
      outcomes.push({ situation, orders: count, expected, reportedDone, rows: await counts(inspector) })
    }
    await put('no fault', orders, orders, async () => undefined)
    await put('callback throws', orders, 0, async () => {
      throw new Error('the callback throws')
    })
    await put('killed once', orders, orders, async (attempt) => {
      if (attempt === 1) await kill()
    })
    await put('killed every time', Math.ceil(orders / 10), 0, kill)

    return {
      tables: [
        {
          head: ['', 'orders', 'succeeded', 'rows: Kysely', 'Drizzle', 'Prisma', 'raw SQL'],
          rows: outcomes.map(({ situation, orders, reportedDone, rows }) => [situation, orders, reportedDone, ...rows]),
        },
      ],
      claims: mixedClaims(outcomes),
    }
  },
}

export function mixedClaims(outcomes: readonly Outcome[]): Claim[] {
  const torn = outcomes.filter(({ rows }) => new Set(rows).size !== 1)
  const wrong = outcomes.filter(({ rows, expected }) => rows.some((n) => n !== expected))
  const misreported = outcomes.filter(({ rows, reportedDone }) => rows.some((n) => n !== reportedDone))
  const listed = (some: readonly Outcome[]): string =>
    some
      .map(({ situation, reportedDone, rows }) => `${situation}: ${reportedDone} succeeded, rows ${rows.join(', ')}`)
      .join('; ')
  return [
    claim('all rows of an order are committed or none, also after kills', torn.length === 0, listed(torn)),
    claim('an order that was killed once is stored exactly once', wrong.length === 0, listed(wrong)),
    claim('what callers got agrees with the database', misreported.length === 0, listed(misreported)),
  ]
}

async function counts(inspector: Pool): Promise<number[]> {
  const { rows } = await inspector.query<{ n: number }>(
    tables.map((table, index) => `select ${index} as i, count(*)::int as n from ${table}`).join(' union all ') +
      ' order by i',
  )
  return rows.map(({ n }) => n)
}
