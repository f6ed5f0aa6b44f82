import { InvalidOptionError, type Pool } from '@pg-lifeguard/core'
import { LifeguardAdapterFactory } from './lifeguard-adapter.js'

/** The part of Prisma's client that collects the requests of one tick and sends them together. */
interface Loader {
  readonly options: object
  request(request: unknown): Promise<unknown>
}

/** The private side of a client; it is the same in all of Prisma 7, and checked before use. */
interface ClientInternals {
  readonly _requestHandler?: { readonly dataloader?: Partial<Loader> }
  readonly _engineConfig?: { readonly adapter?: unknown }
}

const separated = new WeakSet<object>()

/**
 * Makes a client send what is asked for in one context apart from what is asked for in others.
 *
 * Prisma's client merges the findUnique calls of one tick into one query, and sends everything else that it collected
 * in that tick with it, all in the asynchronous context of whoever came first: a read from outside would run inside of
 * a transaction, one of a transaction outside, and each under the deadline of another. So each context of the pool gets
 * a collector of its own, of the client's own kind: within one context calls are merged as ever.
 * https://www.prisma.io/docs/orm/prisma-client/queries/query-optimization-performance
 *
 * @throws InvalidOptionError when this is not a client on an adapter of this pool
 */
export function separateBatches(client: object, pool: Pool): void {
  const { _engineConfig, _requestHandler } = client as ClientInternals
  const adapter = _engineConfig?.adapter
  if (!(adapter instanceof LifeguardAdapterFactory) || adapter.pool !== pool) {
    const found = adapter instanceof LifeguardAdapterFactory ? 'on another pool' : 'on another adapter'
    throw new InvalidOptionError('client', found, 'new PrismaClient({ adapter: lifeguardAdapter(pool) }) of this pool')
  }
  const shared = _requestHandler?.dataloader
  if (!isLoader(shared)) {
    throw new InvalidOptionError('client', 'of a Prisma that collects requests in another way', 'a client of Prisma 7')
  }
  adapter.isExtended = true
  if (separated.has(shared)) return
  separated.add(shared)
  const Collector = shared.constructor as new (options: object) => Loader
  const outside = shared.request.bind(shared)
  const inside = new WeakMap<object, Loader>()
  shared.request = (request) => {
    const { context } = pool
    if (context === undefined) return outside(request)
    let loader = inside.get(context)
    if (loader === undefined) {
      loader = new Collector(shared.options)
      inside.set(context, loader)
    }
    return loader.request(request)
  }
}

function isLoader(value: Partial<Loader> | undefined): value is Loader {
  return typeof value?.request === 'function' && typeof value.options === 'object' && value.constructor !== Object
}
