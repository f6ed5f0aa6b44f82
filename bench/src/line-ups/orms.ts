import type { LineUp } from '../line-up.js'
import { loadedLate, type Peer, type Session } from '../peer.js'

/** What the file of an ORM in peers/ has. */
interface Orm {
  readonly onLifeguard: Peer['open']
  /** On the driver that it is delivered with, which is pg's pool for all of them. */
  readonly onStockDriver: Peer['open']
  /** With answers out of memory, without connections: what the ORM costs by itself. */
  readonly alone: Peer['open']
}

const subject = 'ORM on lifeguard'
const yardstick = 'ORM on pg.Pool'

/**
 * One ORM on Lifeguard, beside the same on its stock driver, the ORM alone, and the pool without an ORM.
 */
function lineUp(load: () => Promise<Orm>): LineUp {
  return {
    name: 'ORMs',
    peers: [
      loadedLate(subject, async () => (await load()).onLifeguard),
      loadedLate(yardstick, async () => (await load()).onStockDriver),
      loadedLate('ORM alone', async () => (await load()).alone),
      { name: 'no ORM', open: openWithoutOrm },
    ],
    subject,
    yardstick,
  }
}

/** The pool alone has but one way to ask. */
async function openWithoutOrm(url: string, connections: number): Promise<Session> {
  const { openLifeguard } = await import('../peers/lifeguard.js')
  const session = await openLifeguard(url, connections)
  return session.select === undefined ? session : { ...session, selectFirst: session.select }
}

/** Each ORM by the name that its cases end with. A new one is a file in peers/ and a line here. */
export const orms = {
  kysely: lineUp(() => import('../peers/kysely.js')),
  drizzle: lineUp(() => import('../peers/drizzle.js')),
  prisma: lineUp(() => import('../peers/prisma.js')),
} as const satisfies Readonly<Record<string, LineUp>>
