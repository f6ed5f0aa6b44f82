import { createPool, lifeguard, lifeguardAdapter } from '@pg-lifeguard/prisma'
import { PrismaPg } from '@prisma/adapter-pg'
import {
  ColumnTypeEnum,
  type SqlDriverAdapter,
  type SqlDriverAdapterFactory,
  type SqlQuery,
  type SqlResultSet,
} from '@prisma/driver-adapter-utils'
import { PrismaClient } from '#prisma'
import type { Session } from '../peer.js'
import { noteOf } from '../sql.js'

/** What is used of a client, with an extension or without. */
interface Client {
  readonly item: { readonly findUnique: FindById; readonly findFirst: FindById }
  $disconnect(): Promise<void>
}

type FindById = (args: { readonly where: { readonly id: number } }) => PromiseLike<{ readonly note: string } | null>

/** With its extension, as its README has it. */
export function onLifeguard(url: string, connections: number): Session {
  const pool = createPool({ connectionString: url, max: connections })
  const adapter = lifeguardAdapter(pool, { endPoolOnDispose: true })
  return sessionOn(new PrismaClient({ adapter }).$extends(lifeguard(pool)))
}

export function onStockDriver(url: string, connections: number): Session {
  return sessionOn(new PrismaClient({ adapter: new PrismaPg({ connectionString: url, max: connections }) }))
}

/** A driver adapter that knows the answer: what is left is Prisma's client and its query engine. */
export function alone(): Session {
  const identity = { provider: 'postgres', adapterName: 'memory' } as const
  const adapter: SqlDriverAdapter = {
    ...identity,
    // Several findUnique calls come as one query: `where id in ($1, $2, ...)`; limit and offset are of another type.
    async queryRaw({ args, argTypes }: SqlQuery): Promise<SqlResultSet> {
      const ids = args.filter((_, index) => argTypes[index]?.scalarType === 'int')
      return {
        columnNames: ['id', 'note'],
        columnTypes: [ColumnTypeEnum.Int32, ColumnTypeEnum.Text],
        rows: ids.map((id) => [id, noteOf(id)]),
      }
    },
    executeRaw: unused,
    executeScript: unused,
    startTransaction: unused,
    getConnectionInfo: () => ({ supportsRelationJoins: true }),
    dispose: async () => undefined,
  }
  const factory: SqlDriverAdapterFactory = { ...identity, connect: async () => adapter }
  return sessionOn(new PrismaClient({ adapter: factory }))
}

async function unused(): Promise<never> {
  throw new Error('bug: rows are selected, nothing else')
}

function sessionOn(prisma: Client): Session {
  return {
    async select(id) {
      const row = await prisma.item.findUnique({ where: { id } })
      return row?.note
    },
    async selectFirst(id) {
      const row = await prisma.item.findFirst({ where: { id } })
      return row?.note
    },
    end: () => prisma.$disconnect(),
  }
}
