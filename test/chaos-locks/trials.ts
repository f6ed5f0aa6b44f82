import { setTimeout as sleep } from 'node:timers/promises'
import { createPool, type Pool } from '@pg-lifeguard/core'
import { type Belief, Contender, now, Story } from './contender.js'
import { mostAtOnce, type Spread, spread } from './overlaps.js'
import { locksLeft } from './storm.js'

/** How long after its session was killed a holder's `signal` aborts. */
export async function measureAborts(admin: Pool, url: string, kills: number): Promise<Spread> {
  await using pool = createPool({ connectionString: url, name: 'victim' })
  const durations: number[] = []
  for (let i = 0; i < kills; i++) {
    const lock = await pool.acquireLock('victim')
    const aborted = new Promise<number>((resolve) => lock.signal.addEventListener('abort', () => resolve(now())))
    const [held] = (await admin.listLocks()).filter(
      ({ name, applicationName }) => name !== '' && applicationName === 'victim',
    )
    const killedAt = now()
    await admin.query('select pg_terminate_backend($1)', [held?.pid])
    durations.push((await aborted) - killedAt)
    // That it was lost is what was asked for.
    await lock.release().catch(() => undefined)
  }
  return spread(durations)
}

export interface SemaphoreResult {
  readonly grants: number
  readonly kills: number
  readonly mostAtOnce: number
  /** Places that could be taken at the end. */
  readonly placesLeft: number
  readonly bugs: readonly string[]
  readonly locksLeft: number
}

/** A semaphore of three over processes that are killed. */
export async function trySemaphore(
  admin: Pool,
  url: string,
  random: () => number,
  options: { readonly processes: number; readonly kills: number; readonly heartbeatMs: number },
): Promise<SemaphoreResult> {
  const story = new Story()
  const start = (who: number): Contender =>
    new Contender(
      { role: 'semaphore', who, url, seed: Math.floor(random() * 2 ** 31), keys: 1, heartbeatMs: options.heartbeatMs },
      story,
    )
  const contenders = Array.from({ length: options.processes }, (_, who) => start(who))
  for (let kills = 0; kills < options.kills; ) {
    await sleep(30 + random() * 60)
    const at = contenders.findIndex(({ holds }) => holds)
    const victim = contenders[at]
    if (victim === undefined) continue
    await victim.kill()
    contenders[at] = start(at)
    kills += 1
  }
  await Promise.all(contenders.map((contender) => contender.end()))
  await using pool = createPool({ connectionString: url })
  const all = Promise.withResolvers<void>()
  let placesLeft = 0
  const places = [1, 2, 3].map(() =>
    pool.withSemaphore(
      'places',
      3,
      async () => {
        placesLeft += 1
        if (placesLeft === 3) all.resolve()
        await Promise.race([all.promise, sleep(2_000)])
      },
      { waitMs: 5_000 },
    ),
  )
  await Promise.allSettled(places)
  return {
    grants: story.beliefs.length,
    kills: options.kills,
    mostAtOnce: mostAtOnce(story.beliefs),
    placesLeft,
    bugs: story.bugs,
    locksLeft: await locksLeft(admin),
  }
}

export interface ElectionResult {
  readonly terms: number
  readonly mostAtOnce: number
  /** From the death of a leader to the next one's first act. */
  readonly handover: Spread
  readonly bugs: readonly string[]
  readonly locksLeft: number
}

/** An election over processes; the leader is killed again and again. */
export async function tryElection(
  admin: Pool,
  url: string,
  options: { readonly processes: number; readonly kills: number; readonly heartbeatMs: number },
): Promise<ElectionResult> {
  const story = new Story()
  let leads = Promise.withResolvers<{ readonly by: Contender; readonly term: Belief }>()
  const start = (who: number): Contender =>
    new Contender(
      { role: 'election', who, url, seed: who, keys: 1, heartbeatMs: options.heartbeatMs },
      story,
      (term, by) => leads.resolve({ by, term }),
    )
  const contenders = Array.from({ length: options.processes }, (_, who) => start(who))
  const handovers: number[] = []
  for (let kills = 0; kills < options.kills; kills++) {
    const { by } = await leads.promise
    // Somebody has to be there to take over: a candidate that waits in the server's queue.
    while ((await admin.listLocks()).every(({ granted }) => granted)) await sleep(5)
    leads = Promise.withResolvers()
    const killedAt = now()
    await by.kill()
    const { term } = await leads.promise
    handovers.push(term.from - killedAt)
    contenders[by.order.who] = start(by.order.who)
  }
  await Promise.all(contenders.map((contender) => contender.end()))
  return {
    terms: story.beliefs.length,
    mostAtOnce: mostAtOnce(story.beliefs),
    handover: spread(handovers),
    bugs: story.bugs,
    locksLeft: await locksLeft(admin),
  }
}
