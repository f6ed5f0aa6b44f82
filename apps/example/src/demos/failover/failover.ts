import { setTimeout as sleep } from 'node:timers/promises'
import { createPool } from '@pg-lifeguard/core'
import { type Clients, openClients } from '../../clients.js'
import { type Orm, ormNames } from '../../orm.js'
import { type Claim, claim, type Demo } from '../demo.js'
import { untilTrue } from '../until-true.js'
import * as drizzle from './drizzle.js'
import * as kysely from './kysely.js'
import * as prisma from './prisma.js'
import * as sql from './sql.js'

const withoutPrimaryMs = 2_000
const setUp = `
  create table note (id int primary key, body text not null);
  create table lifeguard_commit (id uuid primary key, at timestamptz not null default now());`

interface Running {
  count(clients: Clients): Promise<number>
  add(clients: Clients, id: number): Promise<void>
}

const work: Readonly<Record<Orm, Running>> = {
  sql: {
    count: ({ pool }) => sql.work.count(pool, pool),
    add: ({ pool }, id) => sql.work.add(pool, pool, id),
  },
  kysely: {
    count: (clients) => kysely.work.count(clients.pool, clients.kysely),
    add: (clients, id) => kysely.work.add(clients.pool, clients.kysely, id),
  },
  drizzle: {
    count: (clients) => drizzle.work.count(clients.pool, clients.drizzle),
    add: (clients, id) => drizzle.work.add(clients.pool, clients.drizzle, id),
  },
  prisma: {
    count: (clients) => prisma.work.count(clients.pool, clients.prisma),
    add: (clients, id) => prisma.work.add(clients.pool, clients.prisma, id),
  },
}

/** What callers saw through one of them, from the kill until all is well again. */
export interface FailoverFigures {
  readonly through: string
  readonly reads: number
  readonly readsWithoutPrimary: number
  readonly slowestReadMs: number
  readonly writes: number
  readonly slowestWriteMs: number
  /** The errors that callers got; each message once. */
  readonly failures: readonly string[]
  /** Writes that were confirmed to a caller, and that are not there. */
  readonly lost: number
}

/** The primary dies, and a standby is promoted two seconds later. */
export const failover: Demo = {
  name: 'failover',
  title: 'the primary is killed, a standby is promoted 2 s later',
  about: [
    'Callers read and write while the primary is killed; nothing informs the pool. Reads',
    'go on at the standby, writes wait for its promotion. Replication is synchronous, so',
    'that no confirmed write can be lost.',
  ],
  gist: 'no error, nothing lost',
  orms: ['sql', 'kysely', 'drizzle', 'prisma'],
  code: 'demos/failover/',
  async run({ cluster, url, replicaUrls, orms, show }) {
    const [standby] = cluster.replicas
    const [standbyUrl] = replicaUrls
    if (standby === undefined || standbyUrl === undefined) throw new Error('bug: a demo of a standby was given none')
    {
      await using admin = createPool({ connectionString: url, max: 1 })
      await admin.query(setUp)
      await cluster.waitForReplicas()
      await admin.query(`alter system set synchronous_standby_names = '*'`)
      await admin.query('select pg_reload_conf()')
      await untilTrue('synchronous replication', async () => {
        const { rows } = await admin.query<{ state: string }>('select sync_state as state from pg_stat_replication')
        return rows[0]?.state === 'sync'
      })
    }
    await using clients = openClients({ connectionString: url, replicas: [standbyUrl], max: 10 })
    const callers = orms.map((orm) => new Callers(clients, orm))
    const running = callers.map((one) => one.start())
    await untilTrue('work before the kill', async () => callers.every((one) => one.hasDone(20, 5)))

    show('the primary is killed')
    for (const one of callers) one.begin()
    await cluster.primary.kill()
    await sleep(withoutPrimaryMs)
    const readsWithoutPrimary = callers.map((one) => one.reads)
    show('the standby is promoted')
    await standby.promote()
    await untilTrue('writes after the promotion', async () => callers.every((one) => one.hasDone(0, 5)))
    for (const one of callers) one.stop()
    await Promise.all(running)

    await using inspector = createPool({ connectionString: standbyUrl, max: 1 })
    const { rows } = await inspector.query<{ id: number }>('select id from note')
    const there = new Set(rows.map(({ id }) => id))
    const figures = callers.map((one, index) => one.figures(there, readsWithoutPrimary[index] ?? 0))
    return {
      tables: [
        {
          head: ['', 'reads', 'while down', 'slowest', 'writes', 'slowest', 'errors', 'lost'],
          rows: figures.map((each) => [
            each.through,
            each.reads,
            each.readsWithoutPrimary,
            `${each.slowestReadMs.toLocaleString('en')} ms`,
            each.writes,
            `${each.slowestWriteMs.toLocaleString('en')} ms`,
            each.failures.length,
            each.lost,
          ]),
        },
      ],
      claims: failoverClaims(figures),
    }
  },
}

export function failoverClaims(figures: readonly FailoverFigures[]): Claim[] {
  const listed = (pick: (figures: FailoverFigures) => unknown): string =>
    figures.map((each) => `${each.through}: ${pick(each)}`).join('; ')
  const all = (holds: (figures: FailoverFigures) => boolean): boolean => figures.length > 0 && figures.every(holds)
  return [
    claim(
      'reads go on while there is no primary',
      all(({ readsWithoutPrimary }) => readsWithoutPrimary > 0),
      listed(({ readsWithoutPrimary }) => `${readsWithoutPrimary} reads`),
    ),
    claim(
      'writes wait for the new primary, and succeed',
      all(({ writes, slowestWriteMs }) => writes > 0 && slowestWriteMs >= withoutPrimaryMs * 0.9),
      listed(({ writes, slowestWriteMs }) => `${writes} writes, the slowest ${slowestWriteMs} ms`),
    ),
    claim(
      'no caller gets an error',
      all(({ failures }) => failures.length === 0),
      listed(({ failures }) => failures.join(', ')),
    ),
    claim(
      'every confirmed write is stored, once',
      all(({ lost }) => lost === 0),
      listed(({ lost }) => `${lost} lost`),
    ),
  ]
}

/** Some callers that read and write through one of them until they are stopped. */
class Callers {
  reads = 0
  readonly #clients: Clients
  readonly #orm: Orm
  readonly #confirmed: number[] = []
  readonly #failures = new Set<string>()
  #writes = 0
  #slowestReadMs = 0
  #slowestWriteMs = 0
  #nextId: number
  #isStopped = false

  constructor(clients: Clients, orm: Orm) {
    this.#clients = clients
    this.#orm = orm
    this.#nextId = Object.keys(work).indexOf(orm) * 1_000_000
  }

  async start(): Promise<void> {
    const { count, add } = work[this.#orm]
    const reader = () =>
      this.#repeat(async () => {
        this.#slowestReadMs = Math.max(this.#slowestReadMs, await timed(() => count(this.#clients)))
        this.reads += 1
      })
    const writer = () =>
      this.#repeat(async () => {
        const id = this.#nextId++
        this.#slowestWriteMs = Math.max(this.#slowestWriteMs, await timed(() => add(this.#clients, id)))
        this.#confirmed.push(id)
        this.#writes += 1
      })
    await Promise.all([reader(), reader(), writer(), writer()])
  }

  /** The figures are counted from here. */
  begin(): void {
    this.reads = 0
    this.#writes = 0
    this.#slowestReadMs = 0
    this.#slowestWriteMs = 0
  }

  hasDone(reads: number, writes: number): boolean {
    return this.reads >= reads && this.#writes >= writes
  }

  stop(): void {
    this.#isStopped = true
  }

  figures(there: ReadonlySet<number>, readsWithoutPrimary: number): FailoverFigures {
    return {
      through: ormNames[this.#orm],
      reads: this.reads,
      readsWithoutPrimary,
      slowestReadMs: Math.round(this.#slowestReadMs),
      writes: this.#writes,
      slowestWriteMs: Math.round(this.#slowestWriteMs),
      failures: [...this.#failures],
      lost: this.#confirmed.filter((id) => !there.has(id)).length,
    }
  }

  async #repeat(one: () => Promise<void>): Promise<void> {
    while (!this.#isStopped) {
      try {
        await one()
      } catch (error) {
        this.#failures.add(error instanceof Error ? error.message : String(error))
      }
      await sleep(5)
    }
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const since = performance.now()
  await work()
  return performance.now() - since
}
