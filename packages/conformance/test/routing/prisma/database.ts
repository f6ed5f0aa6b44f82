import { lifeguard, lifeguardAdapter, type Pool } from '@pg-lifeguard/prisma'
import { PrismaClient } from '../../../generated/prisma/client.js'
import { routes } from '../../../src/index.js'

/** A client as its users would set it up. */
export function extended(pool: Pool) {
  return new PrismaClient({ adapter: lifeguardAdapter(pool) }).$extends(lifeguard(pool))
}

export type Db = ReturnType<typeof extended>

export const { replica, primary } = routes<Db>()
