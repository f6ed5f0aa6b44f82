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
  /** Orders whose caller was told that all is well. */
  readonly toldDone: number
  /** Rows that are there: of Kysely, Drizzle, Prisma, raw SQL. */
  readonly rows: readonly number[]
}

/** One order goes through everything that is on the pool, or leaves nothing. */
export const mixed: Demo = {
  name: 'mixed',
  title: 'one transaction over Kysely, Drizzle, Prisma and raw SQL',
  about: [
    'An order writes a row through each. With a pool for each ORM that would be four',
    'transactions, and a crash leaves half an order. Here somebody says no in the',
    'middle, or the connection is killed: once, or every time.',
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
      let toldDone = 0
      const one = async (index: number): Promise<void> => {
        let attempt = 0
        const done = await order(clients, `customer ${index}`, 'lamp', () => disturb(++attempt)).then(
          () => true,
          () => false,
        )
        if (done) toldDone += 1
      }
      await Promise.all(Array.from({ length: count }, (_, index) => one(index)))
      outcomes.push({ situation, orders: count, expected, toldDone, rows: await counts(inspector) })
    }
    await put('nobody disturbs', orders, orders, async () => undefined)
    await put('refused', orders, 0, async () => {
      throw new Error('refused')
    })
    await put('killed once', orders, orders, async (attempt) => {
      if (attempt === 1) await kill()
    })
    await put('killed every time', Math.ceil(orders / 10), 0, kill)

    return {
      tables: [
        {
          head: ['', 'orders', 'told done', 'rows: Kysely', 'Drizzle', 'Prisma', 'raw SQL'],
          rows: outcomes.map(({ situation, orders, toldDone, rows }) => [situation, orders, toldDone, ...rows]),
        },
      ],
      claims: mixedClaims(outcomes),
    }
  },
}

export function mixedClaims(outcomes: readonly Outcome[]): Claim[] {
  const torn = outcomes.filter(({ rows }) => new Set(rows).size !== 1)
  const wrong = outcomes.filter(({ rows, expected }) => rows.some((n) => n !== expected))
  const lied = outcomes.filter(({ rows, toldDone }) => rows.some((n) => n !== toldDone))
  const listed = (some: readonly Outcome[]): string =>
    some.map(({ situation, toldDone, rows }) => `${situation}: told ${toldDone}, rows ${rows.join(', ')}`).join('; ')
  return [
    claim('commits as one and rolls back as one, also under kills', torn.length === 0, listed(torn)),
    claim('what was killed once is there exactly once', wrong.length === 0, listed(wrong)),
    claim('callers were told the truth', lied.length === 0, listed(lied)),
  ]
}

async function counts(inspector: Pool): Promise<number[]> {
  const { rows } = await inspector.query<{ n: number }>(
    tables.map((table, index) => `select ${index} as i, count(*)::int as n from ${table}`).join(' union all ') +
      ' order by i',
  )
  return rows.map(({ n }) => n)
}
