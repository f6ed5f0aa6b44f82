import { setTimeout as sleep } from 'node:timers/promises'
import { createPool, LifeguardError, type LockHandle, type Pool, sqlStateOf } from '@pg-lifeguard/core'
import type { Order, Report } from './protocol.js'

// A process that is killed, stopped and cut off from the server. It imports nothing of this folder but types, so that it
// runs as it is, too.

const order = JSON.parse(process.argv[2] ?? '') as Order
let isEnding = false
let holds = 0

const pool = createPool({
  connectionString: order.url,
  name: `contender ${order.who}`,
  max: 10,
  connectTimeoutMs: 1_000,
  acquireTimeoutMs: 2_000,
  locks: { heartbeatMs: order.heartbeatMs },
})

function say(report: Report): void {
  process.send?.(report)
}

function now(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

process.on('message', () => {
  isEnding = true
})
process.on('disconnect', () => process.exit(1))
process.on('unhandledRejection', (error) => say({ kind: 'bug', what: `unhandled: ${String(error)}` }))

/** mulberry32: https://github.com/cprosche/mulberry32 */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** Tells the referee how long this process believes that it holds the lock. */
async function believing(key: string, lock: LockHandle, work: () => Promise<void>): Promise<void> {
  const hold = `${process.pid}.${++holds}`
  let isOver = false
  const over = (): void => {
    if (isOver) return
    isOver = true
    say({ kind: 'over', hold, at: now() })
  }
  say({ kind: 'granted', hold, key, xid: String(lock.fencingToken.xid), at: now() })
  lock.signal.addEventListener('abort', over)
  try {
    await work()
  } finally {
    over()
  }
}

type Way = 'session' | 'token' | 'naive'

const log = 'insert into write_log (key, way, timeline, xid) select key, $4, $2, $3 from written'

const sqls: Readonly<Record<Way, string>> = {
  session: `with written as (update counter set n = n + 1, timeline = $2, xid = greatest(xid, $3) where key = $1 returning key) ${log}`,
  token: `with written as (update counter set n = n + 1, timeline = $2, xid = $3 where key = $1 and (timeline, xid) <= ($2::int, $3::bigint) returning key) ${log}`,
  naive: `with written as (update counter set n = n + 1, xid = greatest(xid, $3) where key = $1 returning key) ${log}`,
}

async function write(key: string, way: Way, lock: LockHandle): Promise<void> {
  const { timeline, xid } = lock.fencingToken
  const values = [key, timeline, String(xid), way]
  if (way === 'session') {
    await lock.withTransaction((tx) => tx.query(sqls.session, values), { retry: false })
    return
  }
  const { rowCount } = await pool.query(sqls[way], values)
  if (rowCount === 0) say({ kind: 'refused' })
}

async function storm(on: Pool, random: () => number): Promise<void> {
  const key = `key ${Math.floor(random() * order.keys)}`
  const way = (['session', 'token', 'naive'] as const)[Math.floor(random() * 3)] ?? 'token'
  const writes = 1 + Math.floor(random() * 4)
  const pauseMs = random() * 40
  await on.withLock(
    key,
    (lock) =>
      believing(key, lock, async () => {
        for (let i = 0; i < writes; i++) {
          // `signal` is not looked at: a careless holder is what fencing is for.
          await write(key, way, lock)
          await sleep(pauseMs)
        }
      }),
    { waitMs: 1_000, timeoutMs: 8_000 },
  )
}

async function contend(random: () => number): Promise<void> {
  if (order.role === 'storm') return await storm(pool, random)
  await pool.withSemaphore('places', 3, (lock) => believing('places', lock, () => sleep(random() * 20)), {
    waitMs: 5_000,
  })
}

async function line(random: () => number): Promise<void> {
  while (!isEnding) {
    try {
      await contend(random)
    } catch (error) {
      const code = LifeguardError.isInstance(error) ? error.code : sqlStateOf(error)
      if (code === undefined) say({ kind: 'bug', what: String(error) })
      else say({ kind: 'failed', code })
      await sleep(random() * 20)
    }
  }
}

async function lead(): Promise<void> {
  const candidacy = pool.elect('leader', (term) =>
    believing(
      'leader',
      term,
      () =>
        new Promise((resolve) => {
          if (term.signal.aborted) resolve()
          else term.signal.addEventListener('abort', () => resolve())
        }),
    ),
  )
  while (!isEnding) await sleep(20)
  await candidacy.stop()
}

const random = seeded(order.seed)
if (order.role === 'election') await lead()
else await Promise.all([line(random), line(random), line(random)])
await pool.end()
process.disconnect()
