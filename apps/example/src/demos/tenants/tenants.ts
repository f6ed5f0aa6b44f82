import { createPool, sqlStateOf } from '@pg-lifeguard/core'
import pg from 'pg'
import { type Clients, openClients } from '../../clients.js'
import { type Orm, ormNames } from '../../orm.js'
import { type Claim, claim, type Demo } from '../demo.js'
import * as drizzle from './drizzle.js'
import * as kysely from './kysely.js'
import { contactsNaively } from './naive.js'
import * as prisma from './prisma.js'
import * as sql from './sql.js'

const tenantCount = 8
const contactsEach = 5
const connections = 4
const setUp = `
  create role tenant nologin;
  create table contact (id int generated always as identity primary key, tenant_id int not null, name text not null);
  insert into contact (tenant_id, name)
    select t, format('contact %s of tenant %s', n, t)
    from generate_series(1, ${tenantCount}) t, generate_series(1, ${contactsEach}) n;
  grant select, insert on contact to tenant;
  alter table contact enable row level security;
  create policy own on contact to tenant
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::int)`

const contactsOf: Readonly<Record<Orm, (clients: Clients, tenantId: number) => Promise<string[]>>> = {
  sql: ({ pool }, id) => sql.contactsOf(pool, id),
  kysely: (clients, id) => kysely.contactsOf(clients.kysely, id),
  drizzle: (clients, id) => drizzle.contactsOf(clients.drizzle, id),
  prisma: (clients, id) => prisma.contactsOf(clients.prisma, id),
}
const addContact: Readonly<Record<Orm, (clients: Clients, id: number, owner: number, name: string) => Promise<void>>> =
  {
    sql: ({ pool }, ...args) => sql.addContact(pool, ...args),
    kysely: (clients, ...args) => kysely.addContact(clients.kysely, ...args),
    drizzle: (clients, ...args) => drizzle.addContact(clients.drizzle, ...args),
    prisma: (clients, ...args) => prisma.addContact(clients.prisma, ...args),
  }

/** What the tenants saw through one of them. */
export interface TenantFigures {
  readonly through: string
  readonly calls: number
  /** Rows of other tenants that somebody saw. */
  readonly foreignRows: number
  /** Calls that did not see every row of their own, or failed. */
  readonly incomplete: number
  /** What came of writing a row for somebody else; undefined when it was not tried. */
  readonly foreignWrite: 'refused' | 'written' | undefined
}

/** Row-level security, with the tenant in each transaction. */
export const tenants: Demo = {
  name: 'tenants',
  title: 'row-level security: no tenant sees rows of another',
  about: [
    `${tenantCount} tenants read their contacts over ${connections} connections. If a connection keeps the tenant of`,
    "its last user, the next user sees another tenant's rows.",
    'withTransaction({ role, settings }) sets both for one transaction only.',
  ],
  gist: 'no row of another tenant',
  orms: ['sql', 'kysely', 'drizzle', 'prisma'],
  code: 'demos/tenants/',
  async run({ url, orms, size, show }) {
    const calls = size === 'full' ? 400 : 80
    await using inspector = createPool({ connectionString: url, max: 1 })
    await inspector.query(setUp)
    const figures: TenantFigures[] = []

    show('a bare pg.Pool')
    const bare = new pg.Pool({ connectionString: url, max: connections })
    bare.on('error', () => undefined)
    try {
      const seen = await askAll((id) => contactsNaively(bare, id), calls)
      figures.push({ through: 'pg.Pool, session-wide', calls, ...seen, foreignWrite: undefined })
    } finally {
      await bare.end()
    }

    // All come at once, and may wait as long as it takes, also on a machine that is busy.
    const patient = { acquireTimeoutMs: 60_000, overload: false } as const
    await using clients = openClients({ connectionString: url, max: connections, ...patient })
    for (const orm of orms) {
      show(ormNames[orm])
      const seen = await askAll((id) => contactsOf[orm](clients, id), calls)
      const foreignWrite = await addContact[orm](clients, 1, 2, 'smuggled').then(
        () => 'written' as const,
        (error: unknown) => {
          if (sqlStateOf(error) === '42501') return 'refused' as const
          throw error
        },
      )
      figures.push({ through: ormNames[orm], calls, ...seen, foreignWrite })
    }
    const { rows } = await clients.pool.query<{ role: string; tenant: string | null }>(
      `select current_setting('role') as role, nullif(current_setting('app.tenant_id', true), '') as tenant`,
    )
    return {
      tables: [
        {
          head: ['', 'calls', "others' rows seen", 'incomplete', 'write for another'],
          rows: figures.map(({ through, calls, foreignRows, incomplete, foreignWrite }) => [
            through,
            calls,
            foreignRows,
            incomplete,
            foreignWrite ?? '-',
          ]),
        },
      ],
      claims: tenantClaims(figures, rows[0]?.role ?? '', rows[0]?.tenant ?? null),
    }
  },
}

/** @param role what a connection of the pool runs as afterwards @param tenant and for whom */
export function tenantClaims(figures: readonly TenantFigures[], role: string, tenant: string | null): Claim[] {
  const [naive, ...ours] = figures
  const listed = (pick: (figures: TenantFigures) => unknown): string =>
    ours.map((each) => `${each.through} ${pick(each)}`).join(', ')
  return [
    claim(
      'no tenant sees a row of another, and each sees all of its own',
      ours.length > 0 && ours.every(({ foreignRows, incomplete }) => foreignRows === 0 && incomplete === 0),
      listed(({ foreignRows, incomplete }) => `${foreignRows} seen and ${incomplete} incomplete`),
    ),
    claim(
      'no tenant writes a row for another',
      ours.every(({ foreignWrite }) => foreignWrite === 'refused'),
      listed(({ foreignWrite }) => foreignWrite),
    ),
    claim(
      'connections return to the pool without role or tenant',
      role === 'none' && tenant === null,
      `${role}, ${tenant}`,
    ),
    claim(
      'on a bare pg.Pool, session settings show rows of other tenants',
      (naive?.foreignRows ?? 0) > 0,
      `${naive?.foreignRows} rows`,
    ),
  ]
}

/** Everybody at once; counts what they should not have seen, and what they should have. */
export async function askAll(ask: (tenantId: number) => Promise<string[]>, calls: number) {
  let foreignRows = 0
  let incomplete = 0
  const one = async (tenantId: number): Promise<void> => {
    const names = await ask(tenantId)
    const own = names.filter((name) => name.endsWith(`of tenant ${tenantId}`))
    foreignRows += names.length - own.length
    if (own.length !== contactsEach) incomplete += 1
  }
  await Promise.all(Array.from({ length: calls }, (_, index) => one((index % tenantCount) + 1)))
  return { foreignRows, incomplete }
}
