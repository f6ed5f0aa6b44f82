import { InvalidArgumentError, type OperationOptions, type Pool } from '@pg-lifeguard/core'
import { adapterPool, assertKnownOptions, fieldsOf, optionNames, versionedUpdate } from '@pg-lifeguard/core/adapter'
import type { Types } from '@prisma/client/runtime/client'
import { adapterOf } from './client-internals.js'

/** A model of a client with the extension, such as `prisma.item`. */
export interface VersionedModel {
  updateManyAndReturn(args: never): PromiseLike<unknown>
}

/** The columns that name one row, and the version that was read. */
export type VersionedKey<Model> = NonNullable<Types.Public.Args<Model, 'updateManyAndReturn'>['where']>

/** The columns to change, in the way `update` takes them. */
export type VersionedChanges<Model> = Types.Public.Args<Model, 'updateManyAndReturn'>['data']

/** The row of a model, with all its columns. */
export type RowOf<Model> = Types.Public.Result<Model, Record<never, never>, 'findFirstOrThrow'>

/** How a versioned update finds its version. */
export interface VersionedUpdateOptions extends OperationOptions {
  /** The field that counts versions; an integer. @default 'version' */
  readonly versionField?: string | undefined
}

const names = optionNames<VersionedUpdateOptions>({ signal: true, timeoutMs: true, versionField: true })

/**
 * Updates the row that has this key and still has the version that was read, and counts the version up. Gives the row as
 * it is now. The key must name one row: every row that it fits is changed. It takes values, and none of Prisma's filters:
 * `{ not: 0 }`, `AND`, `OR`, `NOT` are refused. `data` is as in `update`, with Prisma's operations such as
 * `{ increment: 1 }`: what comes from outside is to be checked before.
 *
 * @throws VersionConflictError when no row has this key and this version: somebody else changed or deleted it; inside
 * `withOptimisticRetry` that is tried again
 * @example
 * ```ts
 * import { createPool, lifeguard, lifeguardAdapter, updateVersioned } from '@pg-lifeguard/prisma'
 * import { PrismaClient } from './generated/prisma/client.js'
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * const prisma = new PrismaClient({ adapter: lifeguardAdapter(pool) }).$extends(lifeguard(pool))
 * const item = await updateVersioned(prisma.item, { id: 7, version: 3 }, { name: 'Lamp' })
 * console.log(item.version)
 * ```
 */
export async function updateVersioned<Model extends VersionedModel>(
  model: Model,
  key: VersionedKey<Model>,
  data: VersionedChanges<Model>,
  options: VersionedUpdateOptions = {},
): Promise<RowOf<Model>> {
  assertKnownOptions(options, names)
  const { versionField = 'version', ...limits } = fieldsOf(options)
  const { $name, $parent, updateManyAndReturn } = model as unknown as Delegate
  const update = { key, changes: data as object, changesName: 'data', version: versionField, row: `the ${$name}` }
  const next = nextVersion((key as Readonly<Record<string, unknown>>)[versionField])
  const run = async (where: object): Promise<RowOf<Model>[]> => {
    const rows = await updateManyAndReturn({ where, data: { ...data, [versionField]: next } })
    return rows as RowOf<Model>[]
  }
  return await versionedUpdate(update, run, { limits, pool: () => adapterPool(poolBehind($parent)) })
}

/**
 * As a value, where that can be said: `+` in a statement of Prisma's engine is any operator of that name that is found
 * earlier in the search_path. No row has the next version but one that had the version that was read.
 */
function nextVersion(version: unknown): unknown {
  if (typeof version === 'bigint') return version + 1n
  return Number.isSafeInteger(version) ? (version as number) + 1 : { increment: 1 }
}

/** The client that a model names as its own is the one below the extension, which has no `$pool`. */
function poolBehind(client: object): Pool {
  const adapter = adapterOf(client)
  if (adapter !== undefined) return adapter.pool
  throw new InvalidArgumentError('model', 'of a client on another adapter', 'a model of a client on lifeguardAdapter()')
}

/** What every model of a client has. */
interface Delegate {
  readonly $name: string
  readonly $parent: object
  updateManyAndReturn(args: object): PromiseLike<unknown[]>
}
