import { setTimeout as pause } from 'node:timers/promises'
import type { FaultProxy } from '@pg-lifeguard/testing'
import type pg from 'pg'
import { oneOf } from '../support/random.js'

/** What may go wrong; the frequent ones several times. */
const kinds = [
  'kill',
  'kill',
  'cut',
  'cut',
  'cut all',
  'cut before COMMIT',
  'cut after COMMIT',
  'cut after COMMIT',
] as const
export type Sabotage = (typeof kinds)[number]

/** Where it happens. */
export interface Target {
  readonly proxy: FaultProxy
  /** Past the proxy. */
  readonly admin: pg.Client
  readonly applicationName: string
}

/** Breaks something every now and then, until it is stopped; returns how often each thing was broken. */
export async function sabotage(
  { proxy, admin, applicationName }: Target,
  random: () => number,
  isOver: () => boolean,
): Promise<Map<Sabotage, number>> {
  const done = new Map<Sabotage, number>()
  while (!isOver()) {
    await pause(20 + random() * 130)
    const kind = oneOf(random, kinds)
    const victim = random()
    if (kind === 'kill') {
      const sql = 'select pid from pg_stat_activity where application_name = $1 order by pid'
      const { rows } = await admin.query<{ pid: number }>(sql, [applicationName])
      const pid = rows[Math.floor(victim * rows.length)]?.pid
      if (pid === undefined) continue
      await admin.query('select pg_terminate_backend($1)', [pid])
    } else if (kind === 'cut') {
      const open = await proxy.connections()
      const id = open[Math.floor(victim * open.length)]?.id
      if (id === undefined) continue
      await proxy.cut({ connections: id })
    } else if (kind === 'cut all') await proxy.cut()
    else {
      const rule = { statement: 'commit', action: 'cut' } as const
      await proxy.rule({ ...rule, when: kind === 'cut before COMMIT' ? 'before' : 'after' })
    }
    done.set(kind, (done.get(kind) ?? 0) + 1)
  }
  return done
}
