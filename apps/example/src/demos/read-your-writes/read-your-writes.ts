import { createPool } from '@pg-lifeguard/core'
import { type Clients, openClients } from '../../clients.js'
import { type Orm, ormNames } from '../../orm.js'
import { type Claim, claim, type Demo } from '../demo.js'
import { untilTrue } from '../until-true.js'
import * as drizzle from './drizzle.js'
import * as kysely from './kysely.js'
import * as prisma from './prisma.js'
import * as sql from './sql.js'

const replicaDelayMs = 50

/** Saves a note and gives what is shown of it. */
type Request = (clients: Clients, id: number, body: string) => Promise<string | undefined>

const naive: Readonly<Record<Orm, Request>> = {
  sql: ({ pool }, ...note) => sql.saveAndShowNaively(pool, ...note),
  kysely: (clients, ...note) => kysely.saveAndShowNaively(clients.pool, clients.kysely, ...note),
  drizzle: (clients, ...note) => drizzle.saveAndShowNaively(clients.pool, clients.drizzle, ...note),
  prisma: (clients, ...note) => prisma.saveAndShowNaively(clients.pool, clients.prisma, ...note),
}
const causal: Readonly<Record<Orm, Request>> = {
  sql: ({ pool }, ...note) => sql.saveAndShow(pool, ...note),
  kysely: (clients, ...note) => kysely.saveAndShow(clients.pool, clients.kysely, ...note),
  drizzle: (clients, ...note) => drizzle.saveAndShow(clients.pool, clients.drizzle, ...note),
  prisma: (clients, ...note) => prisma.saveAndShow(clients.pool, clients.prisma, ...note),
}

/** What some requests saw, one way, on a replica in one condition. */
export interface ReadFigures {
  readonly through: string
  readonly way: 'naive' | 'causal'
  readonly replica: 'is paused' | 'is late'
  readonly requests: number
  /** Requests that did not see what they had just written. */
  readonly stale: number
  readonly fromReplica: number
}

/** A request writes and reads back; the replica it reads from lags. */
export const readYourWrites: Demo = {
  name: 'read-your-writes',
  title: 'a replica that lags, and requests that see what they wrote',
  about: [
    'A user saves a note, and the next page reads the old one from a replica that lags:',
    `its replay is paused, then ${replicaDelayMs} ms late. pool.read() returns the old note. Inside`,
    'pool.withCausality() it waits a little, or asks the primary.',
  ],
  gist: 'requests see their writes',
  orms: ['sql', 'kysely', 'drizzle', 'prisma'],
  code: 'demos/read-your-writes/',
  async run({ cluster, url, replicaUrls, orms, size, show }) {
    const requests = size === 'full' ? 20 : 5
    const [replica] = cluster.replicas
    const [replicaUrl] = replicaUrls
    if (replica === undefined || replicaUrl === undefined) throw new Error('bug: a demo of a replica was given none')
    await using inspector = createPool({ connectionString: url, max: 1 })
    await inspector.query(`create table note (id int primary key, body text not null);
      insert into note select n, 'empty' from generate_series(1, ${requests}) n`)
    await cluster.waitForReplicas()
    await using replicaInspector = createPool({ connectionString: replicaUrl, max: 1 })
    const delay = async (delayMs: number): Promise<void> => {
      await replicaInspector.query(`alter system set recovery_min_apply_delay = ${delayMs}`)
      await replicaInspector.query('select pg_reload_conf()')
      await untilTrue(`a replica that is ${delayMs} ms late`, async () => {
        const { rows } = await replicaInspector.query<{ setting: string }>(
          `select setting from pg_settings where name = 'recovery_min_apply_delay'`,
        )
        return rows[0]?.setting === String(delayMs)
      })
    }
    await delay(replicaDelayMs)
    const maxLagMs = 60_000
    await using clients = openClients({
      connectionString: url,
      replicas: [...replicaUrls],
      maxLagMs,
      causalityWaitMs: 300,
      overload: false,
    })
    const { pool } = clients
    let fromReplica = 0
    pool.on('route', ({ role, text }) => {
      if (role === 'replica' && text !== undefined && /\bnote\b/.test(text)) fromReplica += 1
    })
    const ask = async (request: Request, what: Omit<ReadFigures, 'requests' | 'stale' | 'fromReplica'>) => {
      show(`${what.through}, ${what.way === 'naive' ? 'read()' : 'withCausality()'}, the replica ${what.replica}`)
      fromReplica = 0
      const one = async (id: number): Promise<boolean> => {
        const body = `${what.way}, ${what.through}, ${what.replica}`
        return (await request(clients, id, body)) !== body
      }
      const seen = await Promise.all(Array.from({ length: requests }, (_, index) => one(index + 1)))
      return { ...what, requests, stale: seen.filter((isStale) => isStale).length, fromReplica }
    }
    // A pool that has just begun does not know how late a replica is until that has caught up once.
    await untilTrue('a read from the replica', async () => {
      await pool.read(() => pool.query('select body from note limit 1'))
      return fromReplica > 0
    })

    const figures: ReadFigures[] = []
    for (const orm of orms) {
      const through = ormNames[orm]
      await replica.pauseReplay()
      figures.push(await ask(naive[orm], { through, way: 'naive', replica: 'is paused' }))
      figures.push(await ask(causal[orm], { through, way: 'causal', replica: 'is paused' }))
      await replica.resumeReplay()
      await cluster.waitForReplicas()
      figures.push(await ask(causal[orm], { through, way: 'causal', replica: 'is late' }))
    }
    await delay(0)
    return {
      tables: [
        {
          head: ['saw an old note', 'read()', 'withCausality()', 'when late', 'by the replica'],
          rows: orms.map((orm) => {
            const [naive, still, late] = figures.filter(({ through }) => through === ormNames[orm])
            const stale = (one: ReadFigures | undefined): string => `${one?.stale} of ${one?.requests}`
            return [ormNames[orm], stale(naive), stale(still), stale(late), late?.fromReplica ?? 0]
          }),
        },
      ],
      claims: readClaims(figures),
    }
  },
}

export function readClaims(figures: readonly ReadFigures[]): Claim[] {
  const listed = (some: readonly ReadFigures[]): string =>
    some
      .map(
        ({ through, stale, requests, fromReplica }) =>
          `${through}: ${stale} of ${requests} stale, ${fromReplica} from the replica`,
      )
      .join('; ')
  const causal = figures.filter(({ way }) => way === 'causal')
  const naive = figures.filter(({ way }) => way === 'naive')
  const late = causal.filter(({ replica }) => replica === 'is late')
  return [
    claim(
      'inside withCausality() every request sees what it wrote',
      causal.length > 0 && causal.every(({ stale }) => stale === 0),
      listed(causal),
    ),
    claim(
      `a replica that is ${replicaDelayMs} ms late still answers`,
      late.length > 0 && late.every(({ fromReplica }) => fromReplica > 0),
      listed(late),
    ),
    claim(
      'read() alone returns the old note from a paused replica, every time',
      naive.length > 0 && naive.every(({ stale, requests }) => stale === requests),
      listed(naive),
    ),
  ]
}
