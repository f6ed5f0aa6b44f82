import { createPool } from '@pg-lifeguard/core'
import { startFaultProxy } from '@pg-lifeguard/testing'
import pg from 'pg'
import { type Clients, openClients } from '../../clients.js'
import { type Orm, ormNames } from '../../orm.js'
import { type Claim, claim, type Demo } from '../demo.js'
import { untilTrue } from '../until-true.js'
import * as drizzle from './drizzle.js'
import * as kysely from './kysely.js'
import { payNaively } from './naive.js'
import * as prisma from './prisma.js'
import * as sql from './sql.js'

const pay: Readonly<Record<Orm, (clients: Clients, orderId: number, cents: number) => Promise<void>>> = {
  sql: ({ pool }, ...order) => sql.pay(pool, ...order),
  kysely: (clients, ...order) => kysely.pay(clients.kysely, ...order),
  drizzle: (clients, ...order) => drizzle.pay(clients.drizzle, ...order),
  prisma: (clients, ...order) => prisma.pay(clients.prisma, ...order),
}

/** What callers got for payments whose COMMIT was cut, and what the database has. */
export interface CommitFigures {
  readonly through: string
  /** Where the connection was cut: after COMMIT, so that the server ran it; or before, so that it never got it. */
  readonly cut: 'after' | 'before'
  readonly payments: number
  readonly reportedPaid: number
  readonly reportedFailed: number
  /** Orders that are paid, in the database. */
  readonly paid: number
  readonly paidTwice: number
  /** Callers whose result does not agree with the database. */
  readonly reportedWrong: number
}

/** The connection is cut at COMMIT. */
export const lostCommit: Demo = {
  name: 'lost-commit',
  title: 'the connection is cut at COMMIT, and its answer is lost',
  about: [
    'Was the customer charged? If the connection is lost at COMMIT, a bare pg.Pool throws',
    'the same error in both cases, and a second attempt may charge twice. proveCommit',
    'asks the server, and runs again only what was not committed.',
  ],
  gist: 'paid once, reported as paid',
  orms: ['sql', 'kysely', 'drizzle', 'prisma'],
  code: 'demos/lost-commit/',
  async run({ url, orms, size, show }) {
    const payments = size === 'full' ? 10 : 3
    await using inspector = createPool({ connectionString: url, max: 1 })
    await inspector.query(
      'create table payment (id int generated always as identity primary key, order_id int not null, cents int not null)',
    )
    await using proxy = await startFaultProxy({ target: url })
    const figures: CommitFigures[] = []
    const cutAll = async (
      through: string,
      cut: CommitFigures['cut'],
      payOrder: (orderId: number) => Promise<void>,
    ): Promise<void> => {
      show(`${through}, cut ${cut} COMMIT`)
      await inspector.query('truncate payment')
      const reported: boolean[] = []
      for (let orderId = 0; orderId < payments; orderId++) {
        const rule = await proxy.rule({ statement: 'COMMIT', when: cut, action: 'cut' })
        reported.push(
          await payOrder(orderId).then(
            () => true,
            () => false,
          ),
        )
        await rule.fired
      }
      // The client of a cut connection notices at once; the server may still be at its COMMIT.
      await untilTrue('the server is through with every COMMIT', async () => {
        const { rows } = await inspector.query(
          "select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and state in ('active', 'idle in transaction')",
        )
        return rows.length === 0
      })
      const { rows } = await inspector.query<{ id: number; n: number }>(
        'select order_id as id, count(*)::int as n from payment group by 1',
      )
      const paid = new Set(rows.map(({ id }) => id))
      const reportedPaid = reported.filter((isDone) => isDone).length
      figures.push({
        ...{ through, cut, payments, reportedPaid, reportedFailed: payments - reportedPaid, paid: paid.size },
        paidTwice: rows.filter(({ n }) => n > 1).length,
        reportedWrong: reported.filter((isDone, orderId) => isDone !== paid.has(orderId)).length,
      })
    }

    const bare = new pg.Pool({ connectionString: proxy.url, max: 2 })
    bare.on('error', () => undefined)
    try {
      for (const cut of ['after', 'before'] as const) {
        await cutAll('bare pg.Pool', cut, (orderId) => payNaively(bare, orderId, 1_900))
      }
    } finally {
      await bare.end()
    }
    await using clients = openClients({ connectionString: proxy.url, max: 2 })
    for (const orm of orms) {
      for (const cut of ['after', 'before'] as const) {
        await cutAll(ormNames[orm], cut, (orderId) => pay[orm](clients, orderId, 1_900))
      }
    }
    return {
      tables: [
        {
          head: ['', 'cut', 'payments', 'succeeded', 'failed', 'stored', 'stored twice'],
          rows: figures.map((each) => [
            each.through,
            `${each.cut} COMMIT`,
            ...[each.payments, each.reportedPaid, each.reportedFailed, each.paid, each.paidTwice],
          ]),
        },
      ],
      claims: commitClaims(figures),
    }
  },
}

export function commitClaims(figures: readonly CommitFigures[]): Claim[] {
  const ours = figures.filter(({ through }) => through !== 'bare pg.Pool')
  const bare = figures.filter(({ through, cut }) => through === 'bare pg.Pool' && cut === 'after')
  const listed = (some: readonly CommitFigures[]): string =>
    some
      .map(({ through, cut, paid, payments, paidTwice, reportedWrong }) => {
        return `${through}, cut ${cut}: ${paid} of ${payments} paid, ${paidTwice} twice, ${reportedWrong} reported wrongly`
      })
      .join('; ')
  return [
    claim(
      'proveCommit: every order is paid, and none twice',
      ours.length > 0 && ours.every(({ paid, payments, paidTwice }) => paid === payments && paidTwice === 0),
      listed(ours),
    ),
    claim(
      'proveCommit: what every caller got agrees with the database',
      ours.every(({ reportedWrong }) => reportedWrong === 0),
      listed(ours),
    ),
    claim(
      'a bare pg.Pool reports payments as failed that were committed',
      bare.length > 0 &&
        bare.every(({ paid, payments, reportedFailed }) => paid === payments && reportedFailed === payments),
      listed(bare),
    ),
  ]
}
