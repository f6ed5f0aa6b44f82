import { createPool, LifeguardDialect } from '@pg-lifeguard/kysely'
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresDialect,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryResult,
} from 'kysely'
import pg from 'pg'
import type { Session } from '../peer.js'
import { noteOf } from '../sql.js'

interface Database {
  readonly item: { readonly id: number; readonly note: string }
}

export function onLifeguard(url: string, connections: number): Session {
  const pool = createPool({ connectionString: url, max: connections })
  return sessionOn(new LifeguardDialect(pool, { endPoolOnDestroy: true }))
}

export function onStockDriver(url: string, connections: number): Session {
  return sessionOn(new PostgresDialect({ pool: new pg.Pool({ connectionString: url, max: connections }) }))
}

/** A driver that knows the answer. */
export function alone(): Session {
  const connection: DatabaseConnection = {
    async executeQuery<R>({ parameters: [id] }: CompiledQuery): Promise<QueryResult<R>> {
      return { rows: [{ id, note: noteOf(id) } as R] }
    },
    streamQuery() {
      throw new Error('bug: nothing is streamed')
    },
  }
  class Memory extends DummyDriver {
    override async acquireConnection(): Promise<DatabaseConnection> {
      return connection
    }
  }
  return sessionOn({
    createDriver: () => new Memory(),
    createQueryCompiler: () => new PostgresQueryCompiler(),
    createAdapter: () => new PostgresAdapter(),
    createIntrospector: (db) => new PostgresIntrospector(db),
  })
}

function sessionOn(dialect: Dialect): Session {
  const db = new Kysely<Database>({ dialect })
  return {
    async select(id) {
      const row = await db.selectFrom('item').select(['id', 'note']).where('id', '=', id).executeTakeFirst()
      return row?.note
    },
    end: () => db.destroy(),
  }
}
