import { PrismaClient } from '../generated/prisma/client.js'
import { createPool, lifeguard, lifeguardAdapter, type Pool, type PoolOptions } from '../src/index.js'

/** The tables of schema.prisma. */
export const tables = `
  create table item (id int primary key, name text not null, stock int not null default 0, version int not null default 1);
  create table part (id serial primary key, label text not null unique, item_id int not null references item);
  create table ticket (seat int primary key, holder text not null);
  create table invoice (id int primary key, sent boolean not null default false);
`

export function extended(pool: Pool) {
  return new PrismaClient({ adapter: lifeguardAdapter(pool) }).$extends(lifeguard(pool))
}

/** A client with its pool. */
export interface Made {
  readonly pool: Pool
  readonly prisma: ReturnType<typeof extended>
}

export function make(url: string, options: PoolOptions = {}): Made {
  const pool = createPool({ connectionString: url, max: 4, acquireTimeoutMs: 20_000, ...options })
  return { pool, prisma: extended(pool) }
}

export async function rejection(promise: Promise<unknown>): Promise<Error> {
  const [outcome] = await Promise.allSettled([promise])
  if (outcome.status === 'fulfilled') throw new Error('was expected to be rejected, but was not')
  return outcome.reason
}

/** Settles when `condition` holds. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5))
}
