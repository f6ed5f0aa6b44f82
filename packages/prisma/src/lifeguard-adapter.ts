import { type CommitOptions, InvalidArgumentError, type IsolationLevel, type Pool } from '@pg-lifeguard/core'
import {
  type AdapterPool,
  adapterPool,
  assertFlag,
  assertKnownOptions,
  assertTransactionOptions,
  optionNames,
} from '@pg-lifeguard/core/adapter'
import type {
  ConnectionInfo,
  IsolationLevel as PrismaIsolationLevel,
  SqlDriverAdapter,
  SqlDriverAdapterFactory,
  SqlQuery,
  SqlResultSet,
  Transaction,
} from '@prisma/driver-adapter-utils'
import { isFromExtended, isInteractive } from './asking-client.js'
import { asDriverError, withDriverErrors } from './driver-error.js'
import { LifeguardTransaction } from './lifeguard-transaction.js'
import { executeRaw, queryRaw } from './run-statement.js'

/** How the adapter treats its pool and its tables, and how Prisma's own transactions end: `proveCommit`. */
export interface LifeguardAdapterOptions extends CommitOptions {
  /**
   * Whether `prisma.$disconnect()` ends the pool. Leave it off when the pool is shared, with other ORMs or raw queries,
   * or when the client is to connect again: an ended pool stays ended.
   *
   * @default false
   */
  readonly endPoolOnDispose?: boolean | undefined
  /**
   * The schema by which Prisma names the tables of models that say none; raw queries follow the `search_path`.
   *
   * @default 'public'
   */
  readonly schema?: string | undefined
}

/**
 * What {@link lifeguardAdapter} makes: what the `adapter` option of `new PrismaClient()` takes. It is Prisma's factory of
 * adapters and the adapter in one, as there is nothing to connect: the pool does that by itself.
 */
export class LifeguardAdapter implements SqlDriverAdapterFactory, SqlDriverAdapter {
  readonly provider = 'postgres'
  readonly adapterName = '@pg-lifeguard/prisma'
  /** The pool that every query of its clients runs on. */
  readonly pool: Pool
  readonly #adapterPool: AdapterPool
  readonly #options: LifeguardAdapterOptions

  /** @internal use lifeguardAdapter */
  constructor(pool: Pool, options: LifeguardAdapterOptions = {}) {
    const own = adapterPool(pool)
    assertKnownOptions(options, names)
    const { endPoolOnDispose, proveCommit, schema } = options
    assertFlag('endPoolOnDispose', endPoolOnDispose)
    assertTransactionOptions({ proveCommit })
    assertSchema(schema)
    this.pool = pool
    this.#adapterPool = own
    this.#options = options
  }

  /** @internal called by Prisma, as all that follow */
  async connect(): Promise<SqlDriverAdapter> {
    return this
  }

  /** @internal */
  async queryRaw(query: SqlQuery): Promise<SqlResultSet> {
    return await queryRaw(this.#checked(), query)
  }

  /** @internal */
  async executeRaw(query: SqlQuery): Promise<number> {
    return await executeRaw(this.#checked(), query)
  }

  /** As one text, in which the server finds the statements: a semicolon may stand in a string or a function. @internal */
  async executeScript(script: string): Promise<void> {
    await withDriverErrors(() => this.#checked().query(script))
  }

  /** Inside the ambient transaction a savepoint. BEGIN or SAVEPOINT travels with the first statement. @internal */
  async startTransaction(level?: PrismaIsolationLevel): Promise<Transaction> {
    const pool = this.#checked()
    const adopted = this.#adapterPool.takeAdopted()
    if (adopted !== undefined) return new LifeguardTransaction(adopted)
    return await withDriverErrors(async () => {
      const { proveCommit } = this.#options
      const isolation = level?.toLowerCase() as IsolationLevel | undefined // of Prisma's levels only SNAPSHOT is none
      const options = { isolation, proveCommit }
      const own = await (isInteractive() ? pool.beginTransaction(options) : this.#adapterPool.beginInTurn(options))
      return new LifeguardTransaction(own, own)
    })
  }

  /** @internal */
  getConnectionInfo(): ConnectionInfo {
    const { schema } = this.#options
    return { supportsRelationJoins: true, ...(schema === undefined ? {} : { schemaName: schema }) }
  }

  /** @internal */
  async dispose(): Promise<void> {
    if (this.#options.endPoolOnDispose === true) await this.pool.end()
  }

  /** @throws that the transaction around the call is over, in the form that comes out of Prisma's client as it was */
  #isInside(): boolean {
    try {
      return this.pool.currentTransaction !== undefined
    } catch (error) {
      throw asDriverError(error)
    }
  }

  /**
   * Without its extension a client may run a query in the context of another caller: it collects the findUnique calls of
   * one tick, whosoever they are. Then a stranger's read would see what is not committed.
   */
  #checked(): Pool {
    const { pool } = this
    if (this.#isInside() && !isFromExtended()) {
      throw new InvalidArgumentError(
        'prisma',
        'a client without its extension, inside a transaction of the pool',
        'new PrismaClient({ adapter: lifeguardAdapter(pool) }).$extends(lifeguard(pool))',
      )
    }
    return pool
  }
}

/**
 * Prisma on a Lifeguard pool. Give the client its extension too, `lifeguard(pool)`: with both, queries join the
 * transaction that is open around them, whoever opened it. The adapter alone refuses to be used inside of one.
 *
 * @throws InvalidArgumentError
 * @example
 * ```ts
 * import { createPool, lifeguard, lifeguardAdapter } from '@pg-lifeguard/prisma'
 * import { PrismaClient } from './generated/prisma/client.js'
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * const prisma = new PrismaClient({ adapter: lifeguardAdapter(pool) }).$extends(lifeguard(pool))
 * console.log(await prisma.item.findMany())
 * await pool.end()
 * ```
 */
export function lifeguardAdapter(pool: Pool, options: LifeguardAdapterOptions = {}): LifeguardAdapter {
  return new LifeguardAdapter(pool, options)
}

/** A name that the server would cut off, or that is none, would be another schema. */
function assertSchema(schema: unknown): void {
  if (schema === undefined) return
  const isName = typeof schema === 'string' && schema !== '' && !schema.includes('\0')
  if (isName && Buffer.byteLength(schema) <= longestName) return
  const given = typeof schema === 'string' ? JSON.stringify(schema) : `of type ${typeof schema}`
  throw new InvalidArgumentError('schema', given, `the name of a schema, of 1 to ${longestName} bytes`)
}

/** PostgreSQL cuts names off after so many bytes. */
const longestName = 63

const names = optionNames<LifeguardAdapterOptions>({ proveCommit: true, endPoolOnDispose: true, schema: true })
