import { createPool, LifeguardError, type Pool } from '@pg-lifeguard/core'
import pg from 'pg'
import { type Clients, openClients } from '../../clients.js'
import { type Orm, ormNames } from '../../orm.js'
import { type Claim, claim, type Demo } from '../demo.js'
import { untilTrue } from '../until-true.js'
import * as drizzle from './drizzle.js'
import * as kysely from './kysely.js'
import { publishNaively } from './naive.js'
import * as prisma from './prisma.js'
import * as sql from './sql.js'

type Draft = (signal: AbortSignal) => Promise<string>

const publish: Readonly<Record<Orm, (clients: Clients, draft: Draft) => Promise<boolean>>> = {
  sql: ({ pool }, draft) => sql.publish(pool, draft),
  kysely: (clients, draft) => kysely.publish(clients.kysely, draft),
  drizzle: (clients, draft) => drizzle.publish(clients.drizzle, draft),
  prisma: (clients, draft) => prisma.publish(clients.prisma, draft),
}
const setUp = `
  create table report (name text primary key, body text not null, timeline int not null, xid bigint not null);
  insert into report values ('report', 'empty', 0, 0)`
/** What the holder whose lock is lost writes in the end, and what the next one writes before that. */
const late = 'by the first, late'
const next = 'by the second'
const noError = 'no error'

/** What became of a holder whose lock was lost. */
export interface LockFigures {
  readonly through: string
  /** From the kill until `signal` aborted; undefined when it never did. */
  readonly noticedMs: number | undefined
  /** What the holder got in the end: `no error`, or the code of the error. */
  readonly result: string
  /** What is stored in the end. */
  readonly stored: string
}

/** The session that holds a lock is killed, and its holder goes on. */
export const lostLock: Demo = {
  name: 'lost-lock',
  title: 'the session that holds a lock is killed',
  about: [
    'A worker that holds a lock is stuck, and its session is killed. A second one gets',
    'the lock and writes. Then the first one goes on and writes, too. With an ordinary',
    'advisory lock its old data is stored, without any error.',
  ],
  gist: 'a stale holder is kept out',
  orms: ['sql', 'kysely', 'drizzle', 'prisma'],
  code: 'demos/lost-lock/',
  async run({ url, orms, show }) {
    await using inspector = createPool({ connectionString: url, max: 1 })
    await inspector.query(setUp)
    show('a bare pg.Pool')
    const figures: LockFigures[] = []
    const one = new pg.Pool({ connectionString: url, max: 2 })
    const other = new pg.Pool({ connectionString: url, max: 2 })
    for (const pool of [one, other]) pool.on('error', () => undefined)
    try {
      const first = (draft: Draft) => publishNaively(one, draft)
      const second = (draft: Draft) => publishNaively(other, draft)
      figures.push(await lose('bare pg.Pool', inspector, first, second, 'unaware'))
    } finally {
      await Promise.all([one.end(), other.end()])
    }
    for (const orm of orms) {
      show(ormNames[orm])
      // Two pools, as in two processes.
      await using first = openClients({ connectionString: url, max: 3 })
      await using second = openClients({ connectionString: url, max: 3 })
      const through = ormNames[orm]
      figures.push(
        await lose(
          through,
          inspector,
          (d) => publish[orm](first, d),
          (d) => publish[orm](second, d),
          'aware',
        ),
      )
    }
    return {
      tables: [
        {
          head: ['', 'signal aborts', 'first worker gets', 'stored in the end'],
          rows: figures.map(({ through, noticedMs, result, stored }) => [
            through,
            noticedMs === undefined ? 'never' : `after ${noticedMs} ms`,
            result,
            stored,
          ]),
        },
      ],
      claims: lockClaims(figures),
    }
  },
}

export function lockClaims([naive, ...ours]: readonly LockFigures[]): Claim[] {
  const listed = (pick: (figures: LockFigures) => unknown): string =>
    ours.map((each) => `${each.through}: ${pick(each)}`).join('; ')
  return [
    claim(
      'the signal of a lost lock aborts',
      ours.length > 0 && ours.every(({ noticedMs }) => noticedMs !== undefined),
      listed(({ noticedMs }) => noticedMs ?? 'never'),
    ),
    claim(
      'the fencing token keeps the stale writer out',
      ours.every(({ stored }) => stored === next),
      listed(({ stored }) => stored),
    ),
    claim(
      'its holder gets LockLostError',
      ours.every(({ result }) => result === 'LOCK_LOST'),
      listed(({ result }) => result),
    ),
    claim(
      'on a bare pg.Pool it overwrites the second worker, without any error',
      naive?.stored === late && naive.noticedMs === undefined && naive.result === noError,
      `${naive?.stored}, ${naive?.result}`,
    ),
  ]
}

/** Kills the session of the first holder's lock, lets the second one write, and then the first one. */
async function lose(
  through: string,
  inspector: Pool,
  first: (draft: Draft) => Promise<boolean>,
  second: (draft: Draft) => Promise<boolean>,
  kind: 'aware' | 'unaware',
): Promise<LockFigures> {
  await inspector.query(`update report set body = 'empty', timeline = 0, xid = 0`)
  const atWork = Promise.withResolvers<void>()
  const stuck = Promise.withResolvers<void>()
  let abortedAt: number | undefined
  const ended = first(async (signal) => {
    signal.addEventListener('abort', () => {
      abortedAt = performance.now()
    })
    atWork.resolve()
    await stuck.promise
    return late
  }).then((isStored) => (isStored ? noError : 'not stored'), nameOf)
  await Promise.race([atWork.promise, ended])
  const killedAt = performance.now()
  await inspector.query(
    `select pg_terminate_backend(pid, 5000) from pg_locks
       where locktype = 'advisory' and granted and database = (select oid from pg_database where datname = current_database())`,
  )
  if (kind === 'aware') await untilTrue('the abort of the signal', async () => abortedAt !== undefined)
  await second(async () => next)
  stuck.resolve()
  const result = await ended
  const { rows } = await inspector.query<{ body: string }>('select body from report')
  return {
    through,
    noticedMs: abortedAt === undefined ? undefined : Math.round(abortedAt - killedAt),
    result,
    stored: rows[0]?.body ?? '',
  }
}

function nameOf(error: unknown): string {
  if (LifeguardError.isInstance(error)) return error.code.replace('LIFEGUARD_', '')
  return error instanceof Error ? error.message : String(error)
}
