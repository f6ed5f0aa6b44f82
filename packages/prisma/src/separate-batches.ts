import { InvalidOptionError, type Pool } from '@pg-lifeguard/core'
import { adapterOf } from './pool-of.js'

/** The part of Prisma's client that collects the requests of one tick and sends them together. */
interface Loader {
  readonly options: LoaderOptions
  request(request: Request): Promise<unknown>
}

interface LoaderOptions {
  readonly batchLoader: (requests: Request[]) => Promise<unknown[]>
}

interface Request {
  readonly transaction?: { readonly kind?: unknown }
}

/** The private side of a client; it is the same in all of Prisma 7, and checked before use. */
interface ClientInternals {
  readonly _requestHandler?: { readonly dataloader?: Partial<Loader> }
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
  const adapter = adapterOf(client)
  if (adapter?.pool !== pool) {
    const found = adapter === undefined ? 'on another adapter' : 'on another pool'
    throw new InvalidOptionError('client', found, 'new PrismaClient({ adapter: lifeguardAdapter(pool) }) of this pool')
  }
  const shared = (client as ClientInternals)._requestHandler?.dataloader
  if (!isLoader(shared)) {
    throw new InvalidOptionError('client', 'of a Prisma that collects requests in another way', 'a client of Prisma 7')
  }
  adapter.isExtended = true
  if (separated.has(shared)) return
  separated.add(shared)
  const Collector = shared.constructor as new (options: LoaderOptions) => Loader
  const options = { ...shared.options, batchLoader: answeringAll(shared.options.batchLoader) }
  const outside = new Collector(options)
  const inside = new WeakMap<object, Loader>()
  shared.request = (request) => {
    const { context } = pool
    if (context === undefined) return outside.request(request)
    let loader = inside.get(context)
    if (loader === undefined) {
      loader = new Collector(options)
      inside.set(context, loader)
    }
    return loader.request(request)
  }
}

/**
 * The engine runs the calls that a transaction makes in one tick one after the other, and stops at the first that fails;
 * the client then answers the others with undefined, as if they had succeeded. They get that failure in its place.
 */
function answeringAll(batchLoader: LoaderOptions['batchLoader']): LoaderOptions['batchLoader'] {
  return async (requests) => {
    const results = await batchLoader(requests)
    const last = results.at(-1)
    if (requests[0]?.transaction?.kind === 'itx' && last instanceof Error) {
      while (results.length < requests.length) results.push(last)
    }
    return results
  }
}

function isLoader(value: Partial<Loader> | undefined): value is Loader {
  return typeof value?.request === 'function' && typeof value.options?.batchLoader === 'function'
}
