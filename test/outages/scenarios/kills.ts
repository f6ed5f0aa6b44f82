import { startCluster } from '@pg-lifeguard/testing'
import pg from 'pg'
import { Callers, listed } from '../callers.js'
import type { Scenario } from '../scenario.js'
import type { CheckedOut, Session } from '../subject.js'

const max = 5
const next = 20

/** When a session is killed; each gives back what it took. */
const moments: Readonly<Record<string, (session: Session, kill: (pid: number) => Promise<void>) => Promise<void>>> = {
  async idle(session, kill) {
    const held = await session.checkOut()
    held.release()
    await kill(held.pid)
  },
  async 'checked out'(session, kill) {
    const held = await session.checkOut()
    await kill(held.pid)
    held.release()
  },
  async 'in a transaction'(session, kill) {
    const held = await session.checkOut()
    await held.query('begin')
    await kill(held.pid)
    await swallow(held)
    held.release()
  },
  async 'during release'(session, kill) {
    const held = await session.checkOut()
    const killed = kill(held.pid)
    held.release()
    await killed
  },
  async 'under a statement'(session, kill) {
    const held = await session.checkOut()
    const running = held.query('select pg_sleep(10)').catch(() => undefined)
    await kill(held.pid)
    await running
    held.release()
  },
}

/** Backends are killed by an administrator, at every moment, in a process without any handler for errors. */
export const kills: Scenario = {
  name: 'kills',
  title: `a backend is killed at every moment, then ${next} queries; no error handler anywhere`,
  async run(subject, { scale }) {
    const rounds = Math.ceil(20 * scale)
    await using cluster = await startCluster()
    await using database = await cluster.createDatabase()
    const admin = new pg.Client(database.url)
    await admin.connect()
    const kill = async (pid: number): Promise<void> => {
      await admin.query('select pg_terminate_backend($1, 5000)', [pid])
    }
    const session = subject.open(database.url, { max, timeoutMs: 5_000 })
    const figures: Record<string, string | number> = {}
    let failed = 0
    try {
      for (const [moment, strike] of Object.entries(moments)) {
        const callers = new Callers(subject, session, 'select 1')
        for (let round = 0; round < rounds; round++) {
          await strike(session, kill)
          for (let n = 0; n < next; n++) await callers.call()
        }
        const { ok = 0, ...errors } = callers.outcomes()
        failed += callers.calls - ok
        figures[`killed ${moment}, ${rounds} times: errors in the next ${next}`] = listed(errors)
      }
    } finally {
      await session.end()
      await admin.end()
    }
    return {
      figures,
      claims: [
        { claim: 'the process lives', holds: true, seen: 'it does' },
        { claim: `the next ${next} queries see no error`, holds: failed === 0, seen: `${failed} errors` },
      ],
    }
  },
}

/** A statement on a dead session: that it fails is what is expected. */
async function swallow(held: CheckedOut): Promise<void> {
  await held.query('select 1').then(
    () => Promise.reject(new Error('a statement ran on a session that was killed')),
    () => undefined,
  )
}
