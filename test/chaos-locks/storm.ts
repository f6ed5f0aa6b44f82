import { setTimeout as sleep } from 'node:timers/promises'
import type { Pool } from '@pg-lifeguard/core'
import { type FaultProxy, startFaultProxy } from '@pg-lifeguard/testing'
import { Contender, Story } from './contender.js'
import { overlaps, type Spread, spread } from './overlaps.js'

/** The tables that the processes write to, under locks. */
export const setup = `
  create table counter (key text primary key, n bigint not null default 0, timeline int not null default 0, xid bigint not null default 0);
  create table write_log (id bigserial primary key, key text not null, way text not null, timeline int not null, xid bigint not null);
  insert into counter (key) select 'key ' || i from generate_series(0, 99) i`

export interface StormOptions {
  readonly admin: Pool
  readonly url: string
  readonly random: () => number
  readonly seconds: number
  readonly processes: number
  readonly keys: number
  readonly heartbeatMs: number
  readonly progress: (what: string) => void
}

export interface StormResult {
  readonly faults: Readonly<Record<string, number>>
  readonly grants: number
  readonly writes: Readonly<Record<string, number>>
  /** Writes of a holder after the next one had written. */
  readonly stale: Readonly<Record<string, number>>
  /** Writes that the store turned away because of their token. */
  readonly refused: number
  readonly miscounted: number
  readonly overlap: Spread
  readonly overlapWhenStopped: Spread
  readonly failures: Readonly<Record<string, number>>
  readonly bugs: readonly string[]
  readonly locksLeft: number
}

interface Member {
  readonly proxy: FaultProxy
  contender: Contender
  busy: boolean
}

const kinds = ['kill', 'terminate', 'stop', 'stall'] as const

/** Processes that take locks and write under them, while they are killed, stopped and cut off. */
export async function storm(options: StormOptions): Promise<StormResult> {
  const { admin, url, random, seconds, processes, keys, heartbeatMs, progress } = options
  const story = new Story()
  const faults: Record<string, number> = { kill: 0, terminate: 0, stop: 0, stall: 0 }
  const members: Member[] = []
  const start = (who: number, proxy: FaultProxy): Contender =>
    new Contender(
      { role: 'storm', who, url: proxy.url, seed: Math.floor(random() * 2 ** 31), keys, heartbeatMs },
      story,
    )
  /** The server ends the sessions that hold locks of this process, as it does when it gives them up for dead. */
  const terminate = async ({ contender }: Member): Promise<void> => {
    await admin.query(
      "select pg_terminate_backend(pid) from (select distinct l.pid from pg_locks l join pg_stat_activity a using (pid) where l.locktype = 'advisory' and l.granted and a.application_name = $1) found",
      [`contender ${contender.order.who}`],
    )
  }
  const strike = async (member: Member, kind: (typeof kinds)[number]): Promise<void> => {
    const awayMs = heartbeatMs * (2.5 + random() * 3)
    faults[kind] = (faults[kind] ?? 0) + 1
    if (kind === 'kill') {
      await member.contender.kill()
      member.contender = start(member.contender.order.who, member.proxy)
    } else if (kind === 'terminate') await terminate(member)
    else if (kind === 'stop') {
      member.contender.stop()
      await terminate(member)
      await sleep(awayMs)
      member.contender.resume()
    } else {
      await member.proxy.stall()
      await terminate(member)
      await sleep(awayMs)
      await member.proxy.resume()
    }
  }
  try {
    for (let who = 0; who < processes; who++) {
      const proxy = await startFaultProxy({ target: url })
      members.push({ proxy, contender: start(who, proxy), busy: false })
    }
    const until = performance.now() + seconds * 1_000
    const strikes: Promise<void>[] = []
    for (let n = 0; performance.now() < until; n++) {
      await sleep(60 + random() * 120)
      const kind = kinds[n % kinds.length] ?? 'kill'
      const ready = members.filter(({ busy, contender }) => !busy && contender.holds)
      const member = ready[Math.floor(random() * ready.length)]
      if (member === undefined) continue
      member.busy = true
      strikes.push(
        strike(member, kind).finally(() => {
          member.busy = false
        }),
      )
      progress(`${Math.max(0, Math.round((until - performance.now()) / 1_000))} s left, ${story.beliefs.length} grants`)
    }
    await Promise.all(strikes)
    await Promise.all(members.map(({ contender }) => contender.end()))
  } finally {
    for (const { contender, proxy } of members) {
      await contender.kill()
      await proxy.stop()
    }
  }
  const all = overlaps(story.beliefs)
  const tally = await count(admin)
  return {
    faults,
    grants: story.beliefs.length,
    ...tally,
    refused: story.refused,
    overlap: spread(all.filter(({ wasStopped }) => !wasStopped).map(({ ms }) => ms)),
    overlapWhenStopped: spread(all.filter(({ wasStopped }) => wasStopped).map(({ ms }) => ms)),
    failures: Object.fromEntries(story.failures),
    bugs: story.bugs,
    locksLeft: await locksLeft(admin),
  }
}

/** Advisory locks that are still held once nobody is there to hold them. */
export async function locksLeft(admin: Pool): Promise<number> {
  const until = performance.now() + 5_000
  for (;;) {
    const held = (await admin.listLocks()).length
    if (held === 0 || performance.now() > until) return held
    await sleep(20)
  }
}

async function count(admin: Pool): Promise<Pick<StormResult, 'writes' | 'stale' | 'miscounted'>> {
  // The row of the counter is locked before the line of the log is drawn: its ids are the order of the writes.
  const { rows } = await admin.query<{ way: string; writes: number; stale: number }>(`
    select way, count(*)::int as writes, count(*) filter (where xid < before)::int as stale
    from (select *, max(xid) over (partition by key order by id rows between unbounded preceding and 1 preceding) as before from write_log) ordered
    group by way`)
  const { rows: wrong } = await admin.query(
    'select 1 from counter c where n <> (select count(*) from write_log l where l.key = c.key)',
  )
  return {
    writes: Object.fromEntries(rows.map(({ way, writes }) => [way, writes])),
    stale: Object.fromEntries(rows.map(({ way, stale }) => [way, stale])),
    miscounted: wrong.length,
  }
}
